//! Addresses of Atlassian. The webhooks of all its customers come from these, so a source needs a secret as well.

use ipnet::IpNet;
use serde_json::Value;

use crate::source::addresses::Published;

/// Networks of Bitbucket from <https://ip-ranges.atlassian.com/>.
pub(super) static ATLASSIAN: Published = Published {
    word: "atlassian",
    url: "https://ip-ranges.atlassian.com/",
    as_of: "2026-02-11",
    networks: &[
        "104.192.136.0/21",
        "185.166.140.0/22",
        "2401:1d80::/32",
        // Networks in clouds of other providers.
        "3.216.235.48/32",
        "3.221.151.112/32",
        "13.52.5.96/28",
        "13.236.8.224/28",
        "18.136.214.96/28",
        "18.184.99.224/28",
        "18.234.32.224/28",
        "18.246.31.224/28",
        "34.196.8.197/32",
        "34.199.54.113/32",
        "34.216.18.129/32",
        "34.218.156.209/32",
        "34.218.168.212/32",
        "34.231.96.243/32",
        "34.232.25.90/32",
        "34.232.119.183/32",
        "34.233.65.54/32",
        "34.236.25.177/32",
        "35.155.178.254/32",
        "35.160.177.10/32",
        "35.171.175.212/32",
        "44.194.7.14/32",
        "44.199.3.254/32",
        "44.199.45.64/32",
        "44.199.127.226/32",
        "52.41.219.63/32",
        "52.54.90.98/32",
        "52.72.137.240/32",
        "52.202.195.162/32",
        "52.203.14.55/32",
        "52.204.96.37/32",
        "52.205.184.192/32",
        "52.215.192.224/28",
        "174.129.205.191/32",
        "2406:da18:809:e04::/64",
        "2406:da18:809:e05::/64",
        "2406:da18:809:e06::/64",
        "2406:da1c:1e0:a204::/64",
        "2406:da1c:1e0:a205::/64",
        "2406:da1c:1e0:a206::/64",
        "2600:1f14:824:304::/64",
        "2600:1f14:824:305::/64",
        "2600:1f14:824:306::/64",
        "2600:1f18:2146:e304::/64",
        "2600:1f18:2146:e305::/64",
        "2600:1f18:2146:e306::/64",
        "2600:1f1c:cc5:2304::/64",
        "2600:1f1c:cc5:2305::/64",
        "2a05:d014:f99:dd04::/64",
        "2a05:d014:f99:dd05::/64",
        "2a05:d014:f99:dd06::/64",
        "2a05:d018:34d:5804::/64",
        "2a05:d018:34d:5805::/64",
        "2a05:d018:34d:5806::/64",
    ],
    read,
};

/// Returns the networks from which Bitbucket sends: the published file's `items` whose `product` contains `bitbucket`
/// and whose `direction` contains `egress`. Either field may be missing.
fn read(file: &[u8]) -> Option<Vec<IpNet>> {
    let file: Value = serde_json::from_slice(file).ok()?;
    let names = |list: &Value, name: &str| match list {
        Value::Array(items) => {
            items.iter().any(|item| item.as_str().is_some_and(|text| text.eq_ignore_ascii_case(name)))
        }
        // Older files do not have the field.
        absent => absent.is_null(),
    };
    let items = file["items"].as_array()?.iter();
    let ours = items.filter(|item| names(&item["product"], "bitbucket") && names(&item["direction"], "egress"));
    let networks: Vec<IpNet> = ours.filter_map(|item| item["cidr"].as_str()?.parse().ok()).collect();
    // A prefix shorter than 8 bits is implausible for a host's own network.
    networks.iter().all(|network| network.prefix_len() >= 8).then_some(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_network_is_valid() {
        for network in ATLASSIAN.networks {
            assert!(network.parse::<IpNet>().is_ok_and(|parsed| parsed == parsed.trunc()), "{network}");
        }
    }

    #[test]
    fn foreign_and_incoming_ranges_are_left_out() {
        let file = br#"{"syncToken": 1, "items": [
            {"cidr": "198.51.100.0/24", "product": ["jira", "bitbucket"], "direction": ["ingress", "egress"]},
            {"cidr": "203.0.113.0/24", "product": ["bitbucket"], "direction": ["ingress"]},
            {"cidr": "192.0.2.0/24", "product": ["trello"], "direction": ["egress"]},
            {"cidr": "2001:db8::/32"},
            {"cidr": "198.18.0.0/15", "product": "trello", "direction": "ingress"},
            {"cidr": 7, "product": null}
        ]}"#;
        let networks: Vec<String> = read(file).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["198.51.100.0/24", "2001:db8::/32"]);
        for bad in [&b"{}"[..], b"[]", b"", br#"{"items": 1}"#, br#"{"items": [{"cidr": "0.0.0.0/0"}]}"#] {
            assert_eq!(read(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
