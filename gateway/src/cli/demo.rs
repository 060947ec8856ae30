//! `gateway demo`: two small services, a gateway with a chain in front of them, and what to type to see it work.
//!
//! Everything listens on loopback, on the usual ports or on free ones where those are taken. The configuration is
//! written into a fresh folder, for the user to edit, and the folder is gone when the demo is.

use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::demo_service::DemoService;
use super::print;
use super::run::{announce, serve};
use super::signals::Signals;
use crate::config::{self, LogFormat};
use crate::gateway::StartOptions;
use crate::observe::logging;

/// The ports that are tried first.
const CLIENT_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9901;
const SERVICE_PORTS: [u16; 2] = [9001, 9002];

/// The configuration, but for the addresses.
const CONFIG: &str = include_str!("demo.toml");

/// What is printed when everything runs, but for addresses and the file.
const GUIDE: &str = include_str!("demo.txt");

pub(super) fn demo() -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let _log = logging::init("info", LogFormat::Text)?;
    let one = service("one", SERVICE_PORTS[0])?;
    let two = service("two", SERVICE_PORTS[1])?;
    let addresses = Addresses {
        clients: free(CLIENT_PORT)?,
        admin: free(ADMIN_PORT)?,
        services: [one.address, two.address],
    };
    let folder = Folder::create()?;
    let file = folder.0.join("gateway.toml");
    std::fs::write(&file, addresses.fill(CONFIG))
        .map_err(|error| anyhow!("can't write {}: {error}", file.display()))?;
    let options = StartOptions {
        config_path: Some(file.clone()),
        watch: true,
    };
    let gateway = crate::start(config::load(&file)?, options)?;
    announce(&gateway);
    print(&addresses.guide(&file));
    serve(gateway, &signals);
    Ok(())
}

fn service(name: &'static str, port: u16) -> anyhow::Result<DemoService> {
    DemoService::start(name, port)
        .map_err(|error| anyhow!("can't start demo service {name}: {error}"))
}

/// Where everything listens.
struct Addresses {
    clients: SocketAddr,
    admin: SocketAddr,
    services: [SocketAddr; 2],
}

impl Addresses {
    /// A text with the addresses in place.
    fn fill(&self, text: &str) -> String {
        let [one, two] = self.services;
        text.replace("{clients}", &self.clients.to_string())
            .replace("{admin}", &self.admin.to_string())
            .replace("{one}", &one.to_string())
            .replace("{two}", &two.to_string())
    }

    fn guide(&self, file: &Path) -> String {
        self.fill(GUIDE)
            .replace("{file}", &file.display().to_string())
    }
}

/// That port of the loopback interface, or a free one. It is bound again in a moment; somebody who takes it in
/// between makes the start fail, with the address in the message.
fn free(port: u16) -> anyhow::Result<SocketAddr> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let address = bound.and_then(|listener| listener.local_addr());
    address.map_err(|error| anyhow!("no free port on loopback: {error}"))
}

/// A folder of this process alone, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("gateway-demo-{}", std::process::id()));
        // Not recursive: what is there already was not made by us, and stays.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| anyhow!("can't make the folder {}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "can't remove the demo's folder");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Addresses {
            clients: address(1),
            admin: address(2),
            services: [address(3), address(4)],
        }
    }

    #[test]
    fn the_configuration_is_right_and_has_the_promised_chain() {
        let text = addresses().fill(CONFIG);
        let config = config::parse(&text, Path::new("/demo/gateway.toml")).unwrap();
        let names = config.routes[0].plugins.iter();
        let components = names.map(|entry| config.plugins[&entry.plugin].component.to_string());
        assert_eq!(
            components.collect::<Vec<_>>(),
            [
                "stock:access-log",
                "stock:api-key",
                "stock:rate-limit",
                "stock:headers"
            ]
        );
        assert_eq!(
            config.server.listen,
            [config::Listener::plain(addresses().clients)]
        );
        assert_eq!(config.upstreams["users"].endpoints.len(), 2);
    }

    #[test]
    fn the_guide_has_six_commands_with_real_addresses() {
        let guide = addresses().guide(Path::new("/demo/gateway.toml"));
        assert!(!guide.contains(['{', '}']) || guide.contains("%{http_code}"));
        assert_eq!(guide.matches("# ").count(), 6, "{guide}");
        assert!(guide.contains("http://127.0.0.1:1/") && guide.contains("/demo/gateway.toml"));
    }
}
