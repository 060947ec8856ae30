//! Places for client connections: in all, on each listener, for each client address.
//!
//! Counted where a connection is accepted and given back when it ends, so this is off the path of requests. Addresses are
//! spread over several locks, since all workers come here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::config::{ClientLimits, Network};

/// Locks over which client addresses are spread.
const SHARDS: usize = 16;

/// Who has which places.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: AtomicUsize,
    addresses: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
}

/// What a connection beyond the limit is told.
pub(super) const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 34\r\nretry-after: 1\r\nconnection: close\r\n\r\n{\"error\": \"too-many-connections\"}\n";

/// A listener's own count.
pub(super) type OnListener = Arc<AtomicUsize>;

/// Why there is no place; for metrics and logs, the key of the limit.
pub(super) type Refused = &'static str;

impl Places {
    /// A place for a connection of that client. Clients in `exempt` (and those that the limits exempt) are not limited by
    /// their address.
    pub(super) fn take(
        self: &Arc<Self>,
        listener: &OnListener,
        client: IpAddr,
        limits: &ClientLimits,
        exempt: &[Network],
    ) -> Result<Place, Refused> {
        let open = Counted::raise(self.clone(), |places| &places.open);
        if open.before >= limits.connections {
            return Err("connections");
        }
        let on_listener = Counted::raise(Arc::clone(listener), |count| count);
        let listener_limit = limits.connections_per_listener.unwrap_or(usize::MAX);
        if on_listener.before >= listener_limit {
            return Err("connections-per-listener");
        }
        let of_address = self.of_client(client, limits, exempt)?;
        Ok(Place {
            places: Arc::clone(self),
            _open: open,
            _on_listener: on_listener,
            _of_address: of_address,
        })
    }

    /// `None`: the client is not limited by its address.
    fn of_client(
        self: &Arc<Self>,
        client: IpAddr,
        limits: &ClientLimits,
        exempt: &[Network],
    ) -> Result<Option<OfAddress>, Refused> {
        let client = client.to_canonical();
        let is_exempt = |networks: &[Network]| networks.iter().any(|one| one.contains(client));
        if is_exempt(&limits.exempt_addresses) || is_exempt(exempt) {
            return Ok(None);
        }
        let of_address = self.of_address(client, limits.connections_per_address);
        of_address.ok_or("connections-per-address").map(Some)
    }

    fn of_address(self: &Arc<Self>, client: IpAddr, limit: usize) -> Option<OfAddress> {
        let who = whoever_has(client);
        let mut addresses = self.shard(who).lock();
        let count = addresses.entry(who).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(OfAddress {
            places: Arc::clone(self),
            who,
        })
    }

    fn shard(&self, who: IpAddr) -> &Mutex<HashMap<IpAddr, usize>> {
        // Clients of one network differ in the last bits of IPv4, in the middle ones of IPv6.
        let bits = match who {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        &self.addresses[(bits % SHARDS as u64) as usize]
    }
}

/// A connection's places, given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    _open: Counted<Places>,
    _on_listener: Counted<AtomicUsize>,
    _of_address: Option<OfAddress>,
}

impl Place {
    /// The same for whom the peer speaks, as it has said in the meantime.
    pub(super) fn of_client(
        self,
        client: IpAddr,
        limits: &ClientLimits,
        exempt: &[Network],
    ) -> Result<Self, Refused> {
        let of_address = self.places.of_client(client, limits, exempt)?;
        Ok(Self {
            _of_address: of_address,
            ..self
        })
    }
}

/// One more, for as long as this lives.
#[derive(Debug)]
struct Counted<T> {
    owner: Arc<T>,
    count: fn(&T) -> &AtomicUsize,
    before: usize,
}

impl<T> Counted<T> {
    fn raise(owner: Arc<T>, count: fn(&T) -> &AtomicUsize) -> Self {
        let before = count(&owner).fetch_add(1, Ordering::Relaxed);
        Self {
            owner,
            count,
            before,
        }
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        (self.count)(&self.owner).fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct OfAddress {
    places: Arc<Places>,
    who: IpAddr,
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut addresses = self.places.shard(self.who).lock();
        if let Some(count) = addresses.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.who);
            }
        }
    }
}

/// Who is counted together: of IPv6 a network of 64 bits, which is the least that anybody is given.
fn whoever_has(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> ClientLimits {
        let config = crate::config::parse("", std::path::Path::new("gateway.toml")).unwrap();
        ClientLimits {
            connections: 6,
            connections_per_listener: Some(4),
            connections_per_address: 2,
            ..config.server.limits
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_places_and_no_more_and_others_have_theirs() {
        let (places, listener) = (Arc::<Places>::default(), OnListener::default());
        let take = |client| places.take(&listener, ip(client), &limits(), &[]);
        let first = take("192.0.2.1").unwrap();
        let second = take("192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), "connections-per-address");
        assert!(take("192.0.2.2").is_ok());
        drop(first);
        assert!(take("192.0.2.1").is_ok());
        drop(second);
        assert!(places.addresses.iter().all(|shard| shard.lock().is_empty()));
        assert_eq!(places.open.load(Ordering::Relaxed), 0);
        assert_eq!(listener.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn ipv6_counts_by_network_and_ipv4_in_its_clothes_as_ipv4() {
        let (places, listener) = (Arc::<Places>::default(), OnListener::default());
        let take = |client| places.take(&listener, ip(client), &limits(), &[]);
        let _held = [take("2001:db8::1"), take("2001:db8::2")];
        assert_eq!(take("2001:db8::3").unwrap_err(), "connections-per-address");
        assert!(take("2001:db8:0:1::1").is_ok());
        let _held = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(take("192.0.2.1").is_err());
    }

    #[test]
    fn a_listener_and_all_listeners_have_so_many_places() {
        let places = Arc::<Places>::default();
        let (one, other) = (OnListener::default(), OnListener::default());
        let take =
            |listener, last| places.take(listener, IpAddr::from([192, 0, 2, last]), &limits(), &[]);
        let held: Vec<_> = (0..4).map(|last| take(&one, last).unwrap()).collect();
        assert_eq!(take(&one, 9).unwrap_err(), "connections-per-listener");
        let _more = [take(&other, 10).unwrap(), take(&other, 11).unwrap()];
        assert_eq!(take(&other, 12).unwrap_err(), "connections");
        drop(held);
        assert!(take(&other, 12).is_ok());
    }

    #[test]
    fn whom_a_trusted_peer_speaks_for_has_its_own_places() {
        let (places, listener) = (Arc::<Places>::default(), OnListener::default());
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let take = || {
            let place = places.take(&listener, ip("10.1.2.3"), &limits(), &proxies)?;
            place.of_client(ip("192.0.2.1"), &limits(), &proxies)
        };
        let held = [take().unwrap(), take().unwrap()];
        assert_eq!(take().unwrap_err(), "connections-per-address");
        assert_eq!(listener.load(Ordering::Relaxed), 2);
        drop(held);
        assert!(take().is_ok());
        assert!(places.addresses.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn whoever_is_exempt_has_as_many_as_there_are() {
        let (places, listener) = (Arc::<Places>::default(), OnListener::default());
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let take = |client| places.take(&listener, ip(client), &limits(), &proxies);
        let _held: Vec<_> = (0..3).map(|_| take("10.1.2.3").unwrap()).collect();
        assert!(take("127.0.0.1").is_ok());
    }
}
