//! What etcd's v2 interface answers.

use crate::provider::http::Response;
use fairlead_core::discovery::kontena::Tree;
use serde::Deserialize;

/// Keys of one load balancer that are read at most.
const MAX_KEYS: usize = 200_000;

/// Code of a key that is not there.
const KEY_NOT_FOUND: u32 = 100;

/// Code of a watch from before what the store remembers.
const INDEX_CLEARED: u32 = 401;

/// The tree at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) tree: Tree,
    /// The whole store's count of changes.
    pub(super) index: u64,
    /// Identity of the store; empty where a proxy keeps it back.
    pub(super) cluster: String,
}

/// An answer to a read.
#[derive(Deserialize)]
struct Read {
    node: Node,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    nodes: Vec<Node>,
}

/// An answer that says why there is none.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "errorCode")]
    code: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    cause: String,
}

/// What was answered to a recursive GET of `root`. A root that is not there has no services.
///
/// # Errors
///
/// Anything else than a tree, in words for the operator.
pub(super) fn read(response: &Response, root: &str) -> Result<Reading, String> {
    let (index, cluster) = (read_index(response).unwrap_or(0), field(response, "X-Etcd-Cluster-Id").to_owned());
    let tree = match response.status {
        200 => {
            let Read { node } = serde_json::from_slice(&response.body)
                .map_err(|e| format!("the answer is not what etcd's v2 interface sends: {e}"))?;
            tree(&node, root)?
        }
        status => match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(Refusal { code: KEY_NOT_FOUND, .. }) => Tree::default(),
            refusal => return Err(refused(status, refusal.ok())),
        },
    };
    Ok(Reading { tree, index, cluster })
}

/// The store's count at the time of the answer.
pub(super) fn read_index(response: &Response) -> Option<u64> {
    field(response, "X-Etcd-Index").parse().ok()
}

fn field<'r>(response: &'r Response, name: &str) -> &'r str {
    response.fields.get(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

/// Whether a watch was refused only because it begins too early.
pub(super) fn is_cleared(status: u16, body: &[u8]) -> bool {
    status == 400 && serde_json::from_slice::<Refusal>(body).is_ok_and(|refusal| refusal.code == INDEX_CLEARED)
}

fn tree(node: &Node, root: &str) -> Result<Tree, String> {
    let mut pairs = Vec::new();
    gather(node, &mut pairs)?;
    Ok(Tree::read(pairs.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(root)?, value)))))
}

/// Values with their keys. The parser has bounded how deep nodes stand in each other.
fn gather<'n>(node: &'n Node, pairs: &mut Vec<(&'n str, &'n str)>) -> Result<(), String> {
    if node.nodes.is_empty() {
        pairs.push((&node.key, &node.value));
    }
    if pairs.len() > MAX_KEYS {
        return Err(format!("there are more than {MAX_KEYS} keys of this load balancer"));
    }
    node.nodes.iter().try_for_each(|child| gather(child, pairs))
}

fn refused(status: u16, refusal: Option<Refusal>) -> String {
    match (status, refusal) {
        (401 | 403, refusal) => {
            let why = refusal.map(|refusal| refusal.message).unwrap_or_default();
            format!(
                "the store demands a user who may read: give --providers.kontena.username and --providers.kontena.password ({status} {why})"
            )
        }
        (404, None) => {
            "the store does not speak etcd's v2 interface: start it with --enable-v2, or write --providers.kontena.api=v3"
                .to_owned()
        }
        (status, Some(Refusal { code, message, cause })) => format!("the store answers {status}: {message} ({code}, {cause})"),
        (status, None) => format!("the store answers {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use fairlead_net::http::Fields;

    fn response(status: u16, body: &str) -> Response {
        let mut fields = Fields::default();
        fields.append("X-Etcd-Index", b"17");
        fields.append("X-Etcd-Cluster-Id", b"cdf818194e3a8c32");
        Response { status, fields, body: Bytes::copy_from_slice(body.as_bytes()), is_known: false }
    }

    const ROOT: &str = "/kontena/haproxy/lb";

    #[test]
    fn a_tree_as_etcd_3_4_writes_it() {
        let body = r#"{"action":"get","node":{"key":"/kontena/haproxy/lb","dir":true,"nodes":[
            {"key":"/kontena/haproxy/lb/services","dir":true,"nodes":[{"key":"/kontena/haproxy/lb/services/web","dir":true,"nodes":[
              {"key":"/kontena/haproxy/lb/services/web/cookie","value":"","modifiedIndex":5,"createdIndex":5},
              {"key":"/kontena/haproxy/lb/services/web/upstreams","dir":true,"nodes":[
                {"key":"/kontena/haproxy/lb/services/web/upstreams/web-1","value":"10.81.128.5:80","modifiedIndex":6,"createdIndex":6}]},
              {"key":"/kontena/haproxy/lb/services/web/empty","dir":true}]}]}],"modifiedIndex":3,"createdIndex":3}}"#;
        let reading = read(&response(200, body), ROOT).unwrap();
        assert_eq!((reading.index, reading.cluster.as_str()), (17, "cdf818194e3a8c32"));
        let web = &reading.tree.http["web"];
        assert_eq!(web.settings.get("cookie").map(String::as_str), Some(""));
        assert_eq!(web.upstreams["web-1"], "10.81.128.5:80");
        assert_eq!(reading.tree.len(), 1);
    }

    #[test]
    fn a_root_that_is_not_there_is_empty_and_every_other_refusal_an_error() {
        let missing = r#"{"errorCode":100,"message":"Key not found","cause":"/kontena","index":17}"#;
        assert!(read(&response(404, missing), ROOT).unwrap().tree.is_empty());
        for (status, body, word) in [
            (404, "404 page not found\n", "--enable-v2"),
            (401, r#"{"message":"Insufficient credentials"}"#, "--providers.kontena.username"),
            (500, r#"{"errorCode":300,"message":"Raft Internal Error","index":1}"#, "Raft Internal Error"),
            (503, "no leader", "503"),
            (200, "[]", "not what etcd"),
            (200, r#"{"action":"get"}"#, "not what etcd"),
        ] {
            let refused = read(&response(status, body), ROOT);
            assert!(refused.as_ref().is_err_and(|why| why.contains(word)), "{status} {body}: {refused:?}");
        }
        assert!(is_cleared(400, br#"{"errorCode":401,"message":"The event in requested index is outdated and cleared"}"#));
        assert!(!is_cleared(400, b"bad"));
    }
}
