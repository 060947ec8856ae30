#!/bin/sh
# Makes an authority, two certificates for the gateway and one for a client, in the folder certs. For trying things out:
# real certificates come from an authority that your clients trust already.
set -eu
mkdir -p "$(dirname "$0")/certs"
cd "$(dirname "$0")/certs"

key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

if [ ! -e ca.pem ]; then
    openssl req -x509 $key -days 3650 -keyout ca.key -out ca.pem -subj "/CN=Example authority" \
        -addext "keyUsage=critical,keyCertSign,cRLSign"
fi

# NAME, ALTERNATIVE NAMES, USE
issue() {
    openssl req $key -keyout "$1.key.next" -out "$1.request" -subj "/O=Example/CN=$1"
    cat > "$1.extensions" <<END
subjectAltName = $2
extendedKeyUsage = $3
keyUsage = critical,digitalSignature
basicConstraints = critical,CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
    openssl x509 -req -in "$1.request" -CA ca.pem -CAkey ca.key -days 90 -extfile "$1.extensions" -out "$1.pem.next"
    mv "$1.key.next" "$1.key"
    mv "$1.pem.next" "$1.pem"
    rm "$1.request" "$1.extensions"
}

issue default "DNS:localhost,IP:127.0.0.1" serverAuth
issue shop "DNS:shop.test,DNS:*.shop.test" serverAuth
issue alice "email:alice@example.com" clientAuth
