//! Keys and tokens from elsewhere: the examples of RFC 7515 and RFC 8037, and tokens that PyJWT 2.15 has made with their
//! keys, so that nothing here is checked against itself only.

/// RFC 7515 A.1: the secret, base64url.
pub(super) const SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// RFC 7515 A.2: the modulus; the exponent is `AQAB`.
pub(super) const RSA_N: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR",
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB",
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia",
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
);
/// RFC 7515 A.3: the x coordinate.
pub(super) const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
/// RFC 7515 A.3: the y coordinate.
pub(super) const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// RFC 8037 A.2: the public key.
pub(super) const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// RFC 7515 A.1: a token of 2011.
pub(super) const RFC_HS256: &str = concat!(
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9",
    "leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
);
/// RFC 7515 A.2: the same claims.
pub(super) const RFC_RS256: &str = concat!(
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19",
    "yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt",
    "_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb",
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI",
    "8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);
/// RFC 7515 A.3: the same claims.
pub(super) const RFC_ES256: &str = concat!(
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19",
    "yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU",
    "1Q",
);
/// RFC 8037 A.4: a signed text, not claims.
pub(super) const RFC_EDDSA: &str = concat!(
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6",
    "dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
);
/// The key of RFC 7515 A.2, by openssl.
pub(super) const RSA_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj
NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz
P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo
9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB
EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX
FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
oQIDAQAB
-----END PUBLIC KEY-----";
/// The same in the form of PKCS #1.
pub(super) const RSA_PKCS1_PEM: &str = "\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W2
6mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMs
D1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5
z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxv
b3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8q2et
hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQAB
-----END RSA PUBLIC KEY-----";
/// The key of RFC 7515 A.3, by openssl.
pub(super) const EC_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----";
/// The key of RFC 8037 A.2, by openssl.
pub(super) const ED_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----";
/// `{"sub": "alice", "iss": "https://issuer.example", "aud": "gateway", "exp": 4102444800}` by algorithm, made by PyJWT with
/// the keys above.
pub(super) const TOKENS: [(&str, &str); 7] = [
    (
        "HS256",
        concat!(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJ",
            "hdWQiOiJnYXRld2F5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.LGTKM7o2KRz-e41XZeFZzSoCTSbtuvSCfkXtkPqh0q4",
        ),
    ),
    (
        "HS384",
        concat!(
            "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJ",
            "hdWQiOiJnYXRld2F5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.Y9M9MrLKDaJeE4BmXOq_haKN8IUuDHCQTVgURdYCPqlz3VCGq3qMiQ3T",
            "XQ9LDdoH",
        ),
    ),
    (
        "HS512",
        concat!(
            "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJ",
            "hdWQiOiJnYXRld2F5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.tnLh6qXrb353xIXj62h1Dc71uBj61Or3AdrYbzOKTlHlOddrwrGZwqyE",
            "JvII64QdbhwZn8QcVJj78XTS0AGD2A",
        ),
    ),
    (
        "RS256",
        concat!(
            "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJ",
            "hdWQiOiJnYXRld2F5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.WsAo6vUbrQfF2khfeHN84g_GIPmI1hvD9rQF0FVB-XOrzGnUDm5F9F-7",
            "u_LZDoaJvJjuAz8DdFjfwZKrBHgQEl0sqaBJBU8e8lGcrsmN7jxpN5vJmfE-8bn51dOCMy_Tz3CUc5ZtbYCvEexF9QFvsTDgP9ra",
            "LSpMNtrzJ_yY5geeaLC65-advxjXAvMlU26BjlmtOWv04Agc7f7811dRjv5AVoNNWxxaPDwVsefWfZhdE0cGHNjCRBsxp2AlEOvl",
            "dSV8CXx5vA6MopKt5borzvVDxgrmlBNZ8VDeB1JTCqCzoEHrljvQXQaYMrPBQn7CHsNVKUfpEdoUd3qh7kk4Sg",
        ),
    ),
    (
        "PS256",
        concat!(
            "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJ",
            "hdWQiOiJnYXRld2F5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.Q25CcddFHnJvGpHx3fkeSuM8jGQGq_-vlg2L7gkeojuZA97x1RYXCDeU",
            "NDb6Eg_31huAJAczwtv7pASKBPVt3TEsSyXYM7NOCkn85Ifea21zqd5BQhhLxXLT1w52VwsKXU6VSuT9V7tn9yotaCpNDHodYz_G",
            "FfcERi5MVc0-OIzSoS-5GA6EOSCwx4RBwijFaLpR_fdojrLw3ZedWHPpXFJF1IMnhCBq1AbMHxkE4mI-2tUrFjBebpX0zPgMOm9M",
            "6pXlNZt5PHE3GvTQX7J4b7WP69YNm3YB0Fdjo8Lz80iPahN6m9hor4CBSFC48IHoucwNXEHfUl4FmaZkkkG18A",
        ),
    ),
    (
        "ES256",
        concat!(
            "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJ",
            "hdWQiOiJnYXRld2F5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.R7y8jNTWsUuRUeP_Z6wWffm2-DOuvUzP-9_CR9Yk2jheUwjqA_Bw-FMT",
            "pXAzCvqb7-8ludaQATEsh_vwT3CRFw",
        ),
    ),
    (
        "EdDSA",
        concat!(
            "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJ",
            "hdWQiOiJnYXRld2F5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.UF1wv1iemTgCM_EUt-fh9TP1o9fNb4O-9Y9L4by6yt4Ss06dN2Rnm9na",
            "Ex26jMlkT-HVFzs0MCo8GPIVMRxPAA",
        ),
    ),
];
