//! From host and path to the app that answers.
//!
//! Place: built once per snapshot, asked once per request.
//! Rule: the cost of a look-up grows with the length of the path, never with the number of apps or routes.

use std::collections::HashMap;

use crate::host::Host;
use crate::snapshot::Snapshot;
use crate::target::NormalPath;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'a> {
    /// A key of the snapshot's `apps`.
    pub app: &'a str,
    /// The mount as written: `/` or `/a/b`.
    pub prefix: &'a str,
    /// File and line of the manifest.
    pub origin: &'a str,
    /// The entry of `hosts` that matched.
    pub host: &'a str,
    /// The path under the mount: empty when the path is the mount itself, else it begins with a slash.
    pub rest: String,
}

impl Match<'_> {
    /// The path is the mount without its final slash; under `strip` a safe request is sent to the path with it.
    pub fn is_bare_mount(&self) -> bool {
        self.rest.is_empty()
    }
}

#[derive(Debug)]
struct Leaf {
    app: String,
    prefix: String,
    origin: String,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<String, usize>,
    leaf: Option<Leaf>,
}

#[derive(Debug)]
struct Tree {
    host: String,
    nodes: Vec<Node>,
}

/// The routes of one snapshot.
#[derive(Debug)]
pub struct Router {
    exact: HashMap<String, Tree>,
    wildcard: HashMap<String, Tree>,
    any: Option<Tree>,
}

impl Router {
    /// The router of a checked snapshot.
    pub fn new(snapshot: &Snapshot) -> Router {
        let mut router = Router {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: None,
        };
        for host in &snapshot.hosts {
            let mut tree = Tree {
                host: host.name.clone(),
                nodes: vec![Node::default()],
            };
            for route in &host.routes {
                tree.insert(Leaf {
                    app: route.app.clone(),
                    prefix: route.prefix.clone(),
                    origin: route.origin.clone(),
                });
            }
            router.add(&host.name, tree);
        }
        router
    }

    fn add(&mut self, name: &str, tree: Tree) {
        // A checked snapshot names hosts only; the spelling of an IPv6 address may differ from the canonical one.
        let canonical = crate::snapshot::host_name(name);
        let name = canonical.as_deref().unwrap_or(name);
        if name == "*" {
            self.any = Some(tree);
        } else if let Some(suffix) = name.strip_prefix("*.") {
            self.wildcard.insert(suffix.to_owned(), tree);
        } else {
            self.exact.insert(name.to_owned(), tree);
        }
    }

    /// The app for a host and a path; the host is chosen first, a host without a fitting route answers for itself.
    pub fn route(&self, host: &Host, path: &NormalPath) -> Option<Match<'_>> {
        self.tree(host.name())?.find(path)
    }

    fn tree(&self, name: &str) -> Option<&Tree> {
        if let Some(tree) = self.exact.get(name) {
            return Some(tree);
        }
        let mut suffix = name;
        while let Some((_, parent)) = suffix.split_once('.') {
            if let Some(tree) = self.wildcard.get(parent) {
                return Some(tree);
            }
            suffix = parent;
        }
        self.any.as_ref()
    }
}

impl Tree {
    fn insert(&mut self, leaf: Leaf) {
        let mut at = 0;
        let mount = leaf.prefix.trim_matches('/').to_owned();
        for segment in mount.split('/').filter(|segment| !segment.is_empty()) {
            at = self.child(at, segment);
        }
        self.nodes[at].leaf = Some(leaf);
    }

    fn child(&mut self, at: usize, segment: &str) -> usize {
        if let Some(&next) = self.nodes[at].children.get(segment) {
            return next;
        }
        let next = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[at].children.insert(segment.to_owned(), next);
        next
    }

    fn find(&self, path: &NormalPath) -> Option<Match<'_>> {
        let mut node = self.nodes.first()?;
        let mut best = node.leaf.as_ref().map(|leaf| (leaf, 0));
        let mut end = 0;
        for segment in path.segments() {
            let Some(&next) = node.children.get(segment) else {
                break;
            };
            node = self.nodes.get(next)?;
            end += 1 + segment.len();
            if let Some(leaf) = &node.leaf {
                best = Some((leaf, end));
            }
        }
        let (leaf, end) = best?;
        Some(Match {
            app: &leaf.app,
            prefix: &leaf.prefix,
            origin: &leaf.origin,
            host: &self.host,
            rest: path.as_str().get(end..).unwrap_or("").to_owned(),
        })
    }
}
