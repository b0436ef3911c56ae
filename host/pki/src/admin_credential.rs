//! How the administrator proves who it is.

/// A client certificate of group `system:masters`.
#[derive(Clone)]
pub struct AdminCredential {
    /// PEM.
    pub certificate_pem: String,
    /// PEM.
    pub key_pem: String,
}

/// Without the key.
impl std::fmt::Debug for AdminCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminCredential")
    }
}
