//! A gateway that runs in this process. Dropping it stops it at once.

use std::net::SocketAddr;

use crate::client::{Client, Request, Response, get};
use crate::metrics::Metrics;
use crate::setup::Setup;

/// A running gateway.
pub struct Running {
    gateway: Option<gateway::Gateway>,
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    setup: Setup,
}

impl Running {
    pub(crate) fn new(gateway: gateway::Gateway, setup: Setup) -> Self {
        let addresses = gateway.addresses().to_vec();
        let admin = gateway.admin();
        Self {
            gateway: Some(gateway),
            addresses,
            admin,
            setup,
        }
    }

    /// Where it serves clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener(0)
    }

    /// The same of another listener, in the order of the configuration.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn listener(&self, index: usize) -> SocketAddr {
        let address = self.addresses.get(index);
        *address.expect("a gateway listens there")
    }

    /// All addresses on which it serves clients.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.gateway().addresses()
    }

    /// Where it serves operators.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the test configured an admin listener")
    }

    /// What it runs from.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A new connection to it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Send a request over a new connection.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.client().request(request)
    }

    /// GET a path over a new connection.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.send(&get(path))
    }

    /// GET a path of the admin listener.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Response {
        self.admin_send(&get(path))
    }

    /// Send a request to the admin listener. Its host is a loopback name, as the listener asks for.
    #[track_caller]
    pub fn admin_send(&self, request: &Request) -> Response {
        Client::connect(self.admin_address()).request(&request.clone().header("host", "localhost"))
    }

    /// What it counts.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").text())
    }

    /// The faults of one kind of a plugin.
    #[must_use]
    #[track_caller]
    pub fn faults(&self, plugin: &str, kind: &str) -> f64 {
        self.metrics().get(
            "gateway_plugin_faults_total",
            &[("plugin", plugin), ("kind", kind)],
        )
    }

    /// Reload.
    pub fn reload(&self) -> Result<u64, String> {
        self.gateway().reload()
    }

    /// Put another configuration in place, which shares this one's folder, and reload.
    pub fn reload_to(&self, setup: &Setup) -> Result<u64, String> {
        setup.write();
        self.reload()
    }

    /// Drain and end.
    pub fn stop(mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
    }

    fn gateway(&self) -> &gateway::Gateway {
        self.gateway
            .as_ref()
            .expect("it runs until it is stopped, which takes it")
    }
}
