//! Where Kontena's etcd is for a container that was not told: at its default gateway, the node that it runs on.

use fairlead_net::fs;
use std::net::Ipv4Addr;

/// The kernel's routes.
const ROUTES: &str = "/proc/net/route";

/// Port of Kontena's etcd.
const PORT: u16 = 2379;

/// `address:port`.
///
/// # Errors
///
/// There is no default route, or it cannot be found out.
pub(super) async fn endpoint() -> Result<String, String> {
    const REMEDY: &str = "name the store in ETCD_NODE or --providers.kontena.endpoints";
    let routes = fs::read(ROUTES, 1 << 20).await.map_err(|e| format!("{ROUTES}: {e}; {REMEDY}"))?;
    let gateway = default_gateway(&String::from_utf8_lossy(&routes));
    gateway.map(|ip| format!("{ip}:{PORT}")).ok_or_else(|| format!("this machine has no default gateway; {REMEDY}"))
}

/// Addresses stand there as the machine keeps them, so their bytes are the address on the machine that wrote them.
fn default_gateway(routes: &str) -> Option<Ipv4Addr> {
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (destination, gateway) = (fields.next()?, fields.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        (destination == "00000000").then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_is_found() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                      eth1\t0000510A\t00000000\t0001\t0\t0\t0\t0000FFFF\n\
                      eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n";
        assert_eq!(default_gateway(routes), Some(Ipv4Addr::new(172, 17, 0, 1)));
        assert_eq!(default_gateway("Iface\tDestination\tGateway\n"), None);
    }
}
