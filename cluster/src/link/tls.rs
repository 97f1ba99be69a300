//! Who may speak on the link: mutual TLS 1.3 under a private authority, or the development identity.
//!
//! Invariant: there is no 0-RTT and no resumption, so every connection shows a certificate, and nothing that
//! was said once can be said again by someone else.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use holdfast_log::NodeId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use super::cert::node_of_uri;
use super::hello::Names;

/// Where the certificates of the link come from.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// From files, which are read again when they change.
    Files(CertFiles),
    /// A certificate made for this process, and any other is accepted. Only between loopback addresses.
    Development,
}

/// The three files of a node, in PEM.
#[derive(Clone, Debug)]
pub struct CertFiles {
    /// Certificates of the authorities that are trusted; during a change there may be two.
    pub ca: PathBuf,
    /// This node's certificate, and what is between it and the authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The key is not the certificate's, or neither is usable.
    #[error("the certificates of the cluster link cannot be used")]
    Rustls(#[from] rustls::Error),
    /// The file of the authorities holds none that can be used.
    #[error("the certificates of the cluster link cannot be used")]
    Authority(#[from] rustls::client::VerifierBuilderError),
    /// The suite that QUIC begins with is missing.
    #[error("the certificates of the cluster link cannot be used")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The development certificate cannot be made.
    #[error("cannot make a development certificate")]
    Development(#[from] rcgen::Error),
    /// The development identity was to be used with the world.
    #[error("{0} is not a loopback address: the cluster link needs certificates ([cluster.tls])")]
    NotLoopback(SocketAddr),
}

/// Both ends' settings, made from certificates.
pub(super) struct Credentials {
    pub client: Arc<QuicClientConfig>,
    pub server: Arc<QuicServerConfig>,
}

/// What tells that files have changed.
pub(super) type Marks = [Option<(SystemTime, u64)>; 3];

/// Token of the protocol in the handshake. Versions are agreed upon in the hello.
const ALPN: &[u8] = b"holdfast-link";

impl Certificates {
    /// Reads or makes the certificates.
    pub(super) fn load(&self) -> Result<Credentials, TlsError> {
        match self {
            Self::Files(files) => files.load(),
            Self::Development => development(),
        }
    }

    /// Changes when the files do.
    pub(super) fn marks(&self) -> Marks {
        let Self::Files(CertFiles { ca, cert, key }) = self else {
            return Marks::default();
        };
        [ca, cert, key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    /// Refuses what only certificates may do.
    pub(super) fn check_address(&self, address: SocketAddr) -> Result<(), TlsError> {
        match self {
            Self::Development if !address.ip().is_loopback() => Err(TlsError::NotLoopback(address)),
            _ => Ok(()),
        }
    }

    /// The nodes that the other end of `connection` may be.
    pub(super) fn names(&self, connection: &quinn::Connection) -> Names {
        if matches!(self, Self::Development) {
            return Names::Any;
        }
        let chain = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
        Names::Only(chain.and_then(|chain| Some(nodes_of(chain.first()?))).unwrap_or_default())
    }
}

/// The nodes that a certificate names.
fn nodes_of(certificate: &CertificateDer<'_>) -> Vec<NodeId> {
    let parsed = webpki::EndEntityCert::try_from(certificate);
    parsed.map(|parsed| parsed.valid_uri_names().filter_map(node_of_uri).collect()).unwrap_or_default()
}

impl CertFiles {
    /// The nodes that the certificate names: who holds it may speak for these.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn nodes(&self) -> Result<Vec<NodeId>, TlsError> {
        Ok(chain(&self.cert)?.first().map(nodes_of).unwrap_or_default())
    }

    fn load(&self) -> Result<Credentials, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(&self.ca)? {
            roots.add(certificate)?;
        }
        let roots = Arc::new(roots);
        let chain = chain(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|source| TlsError::File { path: self.key.clone(), source })?;
        let provider = provider();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let server = Arc::new(OfAuthority { roots, provider });
        credentials(chain, key, (server, verifier))
    }
}

fn chain(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::File { path: path.clone(), source })
}

fn development() -> Result<Credentials, TlsError> {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let any = Arc::new(Anyone { provider: provider() });
    credentials(vec![own.cert.der().clone()], key, (any.clone(), any))
}

type Verifiers = (Arc<dyn ServerCertVerifier>, Arc<dyn ClientCertVerifier>);

fn credentials(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    (of_server, of_client): Verifiers,
) -> Result<Credentials, TlsError> {
    let mut client = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(of_server)
        .with_client_auth_cert(chain.clone(), key.clone_key())?;
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = Resumption::disabled();
    let mut server = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(of_client)
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.send_tls13_tickets = 0;
    Ok(Credentials {
        client: Arc::new(QuicClientConfig::try_from(client)?),
        server: Arc::new(QuicServerConfig::try_from(server)?),
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts servers of the authority, whatever they are called: the hello says which node it is, and the
/// certificate is held against that.
#[derive(Debug)]
pub(super) struct OfAuthority {
    pub roots: Arc<RootCertStore>,
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OfAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts anyone. Only between loopback addresses.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
