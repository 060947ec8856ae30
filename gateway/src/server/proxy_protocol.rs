//! The PROXY protocol, versions 1 and 2: the header by which a balancer says for whom a connection is.
//!
//! Strict: whatever the specification does not allow is refused, since what is read here becomes the client's address. Not
//! a byte behind the header is taken from the socket. What a version 2 header says beyond addresses (TLVs) must be
//! well-formed, with a right checksum if there is one, and is not looked at otherwise. Whom to believe is not known here.
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Bytes of the longest version 1 header, its line end included (2.1).
const V1_BYTES_MAX: usize = 107;
/// Bytes of the shortest one, `PROXY UNKNOWN` with its line end. Version 2 has more.
const V1_BYTES_MIN: usize = 15;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a version 2 header before its addresses.
const V2_FIXED_BYTES: usize = 16;
/// Bytes of addresses and TLVs: a balancer that tells of TLS sends some hundred, one with client certificates a few thousand.
const V2_REST_BYTES_MAX: usize = 4096;
/// The type of the TLV with a checksum (2.2.4).
const CRC32C: u8 = 0x03;

/// Why there is no header that can be believed.
#[derive(Debug, Error)]
pub(super) enum HeaderError {
    #[error("malformed PROXY protocol header: {0}")]
    Malformed(&'static str),
    #[error("no PROXY protocol header: {0}")]
    Closed(#[from] io::Error),
}

/// Read the header: for whom the connection is, or `None` if it is the peer's own (`LOCAL`, `UNKNOWN`, `UNSPEC`).
pub(super) async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, HeaderError> {
    let mut header = vec![0; V1_BYTES_MIN];
    stream.read_exact(&mut header).await?;
    if header.starts_with(V2_SIGNATURE) {
        header.resize(V2_FIXED_BYTES, 0);
        stream.read_exact(&mut header[V1_BYTES_MIN..]).await?;
        let rest = v2_rest_bytes(&header)?;
        header.resize(V2_FIXED_BYTES + rest, 0);
        stream.read_exact(&mut header[V2_FIXED_BYTES..]).await?;
        return v2(&header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(HeaderError::Malformed("there is none"));
    }
    read_line(stream, &mut header).await?;
    v1(&header)
}

/// The rest of a line, and nothing behind it: what is there is looked at before it is taken.
async fn read_line(stream: &mut TcpStream, line: &mut Vec<u8>) -> Result<(), HeaderError> {
    let mut ahead = [0; V1_BYTES_MAX];
    while !line.contains(&b'\n') {
        let room = V1_BYTES_MAX.saturating_sub(line.len());
        if room == 0 {
            return Err(HeaderError::Malformed("the line is too long"));
        }
        let there = stream.peek(&mut ahead[..room]).await?;
        if there == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let ahead = &mut ahead[..there];
        let end = ahead.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(there, |end| end + 1);
        stream.read_exact(&mut ahead[..taken]).await?;
        line.extend_from_slice(&ahead[..taken]);
    }
    Ok(())
}

/// Version 1 (2.1): `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, with exactly one space between.
fn v1(line: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    let malformed = HeaderError::Malformed;
    let text = std::str::from_utf8(line).map_err(|_| malformed("the line is not ASCII"))?;
    let text = text
        .strip_suffix("\r\n")
        .ok_or(malformed("the line does not end with CR LF"))?;
    if text.contains(|letter: char| letter.is_control() || !letter.is_ascii()) {
        return Err(malformed("the line is not ASCII"));
    }
    let mut words = text.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    match family {
        // What follows must be ignored.
        "UNKNOWN" => return Ok(None),
        "TCP4" | "TCP6" => {}
        _ => return Err(malformed("the family is none of TCP4, TCP6, UNKNOWN")),
    }
    let words: Vec<&str> = words.collect();
    let [source, destination, source_port, destination_port] = *words else {
        return Err(malformed("two addresses and two ports must follow"));
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            _ => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        }
    };
    let (Some(source), Some(_)) = (address(source), address(destination)) else {
        return Err(malformed("an address is none of its family"));
    };
    let (Some(port), Some(_)) = (port(source_port), port(destination_port)) else {
        return Err(malformed("a port is no number up to 65535"));
    };
    Ok(Some(SocketAddr::new(source, port)))
}

/// Digits without a sign, and without zeros that could be read as octal.
fn port(text: &str) -> Option<u16> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// How many bytes follow the fixed ones.
fn v2_rest_bytes(header: &[u8]) -> Result<usize, HeaderError> {
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > V2_REST_BYTES_MAX {
        return Err(HeaderError::Malformed("it is longer than 4 KiB"));
    }
    Ok(rest)
}

/// Version 2 (2.2), complete.
fn v2(header: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    let malformed = HeaderError::Malformed;
    let (version_and_command, family) = (header[12], header[13]);
    let rest = &header[V2_FIXED_BYTES..];
    match version_and_command {
        // The family and all that follows must be ignored.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(malformed("neither LOCAL nor PROXY of version 2")),
    }
    let (address_bytes, is_told) = match family {
        0x00 => (0, false),
        0x11 => (12, true),
        0x21 => (36, true),
        // UNIX streams have no address that could be a client's.
        0x31 => (216, false),
        _ => return Err(malformed("the family is none of TCP and UNIX streams")),
    };
    let Some((addresses, tlvs)) = rest.split_at_checked(address_bytes) else {
        return Err(malformed("it is too short for its addresses"));
    };
    // Without a family, what follows has no form that could be checked.
    if family != 0x00 {
        check_tlvs(header, tlvs)?;
    }
    Ok(is_told.then(|| source(addresses)).flatten())
}

/// The source of two addresses and two ports.
fn source(addresses: &[u8]) -> Option<SocketAddr> {
    let width = (addresses.len() - 4) / 2;
    let ip = match width {
        4 => IpAddr::from(<[u8; 4]>::try_from(&addresses[..4]).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(&addresses[..16]).ok()?),
    };
    let port = u16::from_be_bytes([addresses[2 * width], addresses[2 * width + 1]]);
    Some(SocketAddr::new(ip, port))
}

/// Each has a type, a length of two bytes and as many bytes; together they fill the rest exactly.
fn check_tlvs(header: &[u8], mut tlvs: &[u8]) -> Result<(), HeaderError> {
    let malformed = HeaderError::Malformed;
    let mut has_checksum = false;
    while !tlvs.is_empty() {
        let [kind, high, low, rest @ ..] = tlvs else {
            return Err(malformed("a TLV is cut off"));
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((value, next)) = rest.split_at_checked(length) else {
            return Err(malformed("a TLV is cut off"));
        };
        if *kind == CRC32C {
            let at = header.len() - rest.len();
            if std::mem::replace(&mut has_checksum, true) || !has_good_checksum(header, value, at) {
                return Err(malformed("the checksum is wrong"));
            }
        }
        tlvs = next;
    }
    Ok(())
}

/// CRC-32C of the whole header, with zeros in place of the checksum itself.
fn has_good_checksum(header: &[u8], told: &[u8], at: usize) -> bool {
    let Ok(told) = <[u8; 4]>::try_from(told) else {
        return false;
    };
    let mut blank = header.to_vec();
    blank[at..at + 4].fill(0);
    crc32c(&blank) == u32::from_be_bytes(told)
}

/// RFC 3720 B.4, bit by bit: a header is short, and few have one.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1))
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests;
