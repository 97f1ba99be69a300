//! A private certificate authority and the certificates of a cluster's nodes, as files.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use holdfast_log::NodeId;
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer};
use rcgen::{KeyPair, KeyUsagePurpose, SanType};

const NODE_URI: &str = "holdfast://node/";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A file is there already, and may be in use.
    #[error("{0} exists and is not overwritten")]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key or certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// Writes `ca.pem` and `ca.key`, and `node-1.pem` and `node-1.key` up to `nodes`, into `dir`. Returns the files.
///
/// Only the owner can read a key. Certificates do not expire: whoever holds `ca.key` can replace them at any
/// time, and running nodes take up new ones. `ca.key` is not needed by any node and is best kept elsewhere.
///
/// # Errors
/// When one of the files exists, or cannot be written. Nothing is ever overwritten.
pub fn new(dir: &Path, nodes: u16) -> Result<Vec<PathBuf>, CertError> {
    let mut files = Vec::new();
    let ca_key = KeyPair::generate()?;
    let ca = authority()?;
    let certificate = ca.self_signed(&ca_key)?;
    files.push((dir.join("ca.pem"), certificate.pem(), PUBLIC));
    files.push((dir.join("ca.key"), ca_key.serialize_pem(), SECRET));
    let issuer = Issuer::new(ca, ca_key);
    for node in 1..=nodes {
        let key = KeyPair::generate()?;
        let certificate = node_params(NodeId::new(node.into()))?.signed_by(&key, &issuer)?;
        files.push((dir.join(format!("node-{node}.pem")), certificate.pem(), PUBLIC));
        files.push((dir.join(format!("node-{node}.key")), key.serialize_pem(), SECRET));
    }
    if let Some((path, ..)) = files.iter().find(|(path, ..)| path.exists()) {
        return Err(CertError::Exists(path.clone()));
    }
    fs::create_dir_all(dir).map_err(|source| CertError::Io { path: dir.to_owned(), source })?;
    files.into_iter().map(|(path, text, mode)| write(path, &text, mode)).collect()
}

/// The name by which a certificate says that it is the node's.
pub(super) fn node_uri(node: NodeId) -> String {
    format!("{NODE_URI}{}", node.get())
}

/// The node that such a name names.
pub(super) fn node_of_uri(uri: &str) -> Option<NodeId> {
    let number: u64 = uri.strip_prefix(NODE_URI)?.parse().ok()?;
    let node = NodeId::new(number);
    (number != 0 && node_uri(node) == uri).then_some(node)
}

fn authority() -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Holdfast cluster CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn node_params(node: NodeId) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, format!("Holdfast node {}", node.get()));
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(node_uri(node))?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn write(path: PathBuf, text: &str, mode: u32) -> Result<PathBuf, CertError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => Ok(path),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Err(CertError::Exists(path)),
        Err(source) => Err(CertError::Io { path, source }),
    }
}

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_written_once_and_keys_are_the_owners() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("certificates");
        let files = new(&out, 2).expect("written");
        let names: Vec<_> = files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["ca.pem", "ca.key", "node-1.pem", "node-1.key", "node-2.pem", "node-2.key"]);
        for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "key")) {
            let mode = fs::metadata(path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        let before = fs::read(out.join("ca.pem")).expect("there");
        assert!(matches!(new(&out, 3), Err(CertError::Exists(_))));
        assert_eq!(fs::read(out.join("ca.pem")).expect("there"), before);
        assert!(!out.join("node-3.pem").exists(), "all or nothing");
    }

    #[test]
    fn a_name_is_read_back_and_nothing_else_is() {
        assert_eq!(node_of_uri(&node_uri(NodeId::new(12))), Some(NodeId::new(12)));
        for uri in ["holdfast://node/0", "holdfast://node/01", "holdfast://node/+1", "holdfast://node/", "x"]
        {
            assert_eq!(node_of_uri(uri), None, "{uri}");
        }
    }
}
