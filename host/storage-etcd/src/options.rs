//! Where etcd is, and how to get in.

/// Where etcd is, and how to get in.
#[derive(Clone, Debug)]
pub struct Options {
    /// `https://10.0.0.1:2379`, …: the members of one cluster.
    pub endpoints: Vec<String>,
    /// What signed etcd's serving certificate, as PEM.
    pub ca: Option<Vec<u8>>,
    /// Our client certificate, as PEM.
    pub cert: Option<Vec<u8>>,
    /// Its key, as PEM.
    pub key: Option<Vec<u8>>,
}

impl Options {
    /// A cluster without TLS.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let endpoints = endpoints.into_iter().map(Into::into).collect();
        Self { endpoints, ca: None, cert: None, key: None }
    }
}
