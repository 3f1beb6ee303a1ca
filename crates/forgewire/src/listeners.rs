//! The sockets of a process, and the line that names them.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Context;
use serde::Serialize;
use service_kit::http;
use tokio::net::TcpListener;

use crate::{config::Config, roles::RoleSet};

/// The sockets of a process, bound before anything else: a taken port fails in a millisecond.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) admin: TcpListener,
    /// Of each role that runs here, by its name.
    pub(crate) roles: BTreeMap<&'static str, TcpListener>,
}

/// Where a running process listens. Serialised it is the ready line (design §4): one JSON object
/// with only the roles that run here.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Addresses {
    ready: bool,
    /// By the name of the role.
    #[serde(flatten)]
    roles: BTreeMap<&'static str, SocketAddr>,
    pub(crate) admin: SocketAddr,
}

impl Listeners {
    /// Binds the admin socket, and one for each role.
    ///
    /// # Errors
    /// An address that cannot be bound, with its key in the configuration.
    pub(crate) fn bind(config: &Config, roles: &RoleSet) -> anyhow::Result<Self> {
        let bind = |section: &str, address: SocketAddr| {
            let bound = http::bind(address);
            bound.with_context(|| format!("{section}.listen: cannot listen on {address}"))
        };
        let admin = bind("admin", config.admin.listen)?;
        let roles = roles.iter().map(|role| {
            let listener = bind(role.name, (role.listen)(config))?;
            Ok((role.name, listener))
        });
        Ok(Self {
            admin,
            roles: roles.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The addresses of all listeners.
    ///
    /// # Errors
    /// The system does not report an address.
    pub(crate) fn addresses(&self) -> anyhow::Result<Addresses> {
        let roles = self.roles.iter();
        let roles = roles.map(|(name, listener)| Ok((*name, listener.local_addr()?)));
        Ok(Addresses {
            ready: true,
            roles: roles.collect::<anyhow::Result<_>>()?,
            admin: self.admin.local_addr()?,
        })
    }
}

impl Addresses {
    /// Where a role listens, if it runs here.
    #[cfg(feature = "demo")]
    pub(crate) fn of(&self, role: &str) -> Option<SocketAddr> {
        self.roles.get(role).copied()
    }

    /// The ready line, without the line break.
    pub(crate) fn ready_line(&self) -> String {
        serde_json::to_string(self).expect("addresses are text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_only_the_roles_that_run_here() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let line = |roles: &[(&'static str, u16)]| {
            let roles = roles.iter().map(|(name, port)| (*name, at(*port)));
            let addresses = Addresses {
                ready: true,
                roles: roles.collect(),
                admin: at(9),
            };
            addresses.ready_line()
        };
        assert_eq!(
            line(&[("sync", 3), ("ingest", 2), ("edge", 1)]),
            r#"{"ready":true,"edge":"127.0.0.1:1","ingest":"127.0.0.1:2","sync":"127.0.0.1:3","admin":"127.0.0.1:9"}"#
        );
        assert_eq!(
            line(&[("edge", 1)]),
            r#"{"ready":true,"edge":"127.0.0.1:1","admin":"127.0.0.1:9"}"#
        );
    }
}
