//! TLS with exactly the certificates that administrators exchanged.
//!
//! Guarantees: a connection stands only with somebody who holds the key of a pinned certificate, in both directions;
//! nothing is resumed, so a certificate that was taken out of the address book opens nothing. TLS 1.3, and 1.2 for
//! go-perun. Does not: look at names, dates or issuers; the pin is all there is to trust.

use std::{collections::BTreeSet, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError,
    ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring::default_provider, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use sluicegate_protocol::Digest;

use super::{certificate::fingerprint, identity::Identity};
use crate::Error;

/// Only these certificates.
#[derive(Debug)]
struct Pinned {
    fingerprints: BTreeSet<Digest>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A certificate that is not pinned.
#[derive(Debug, thiserror::Error)]
#[error("the certificate {0} is not the one in the address book")]
struct Stranger(Digest);

/// For connections from these certificates.
pub(super) fn server(
    identity: &Identity,
    fingerprints: BTreeSet<Digest>,
) -> Result<Arc<ServerConfig>, Error> {
    let (provider, pinned) = parts(fingerprints);
    let (certificate, key) = own(identity);
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?;
    let builder = builder.with_client_cert_verifier(pinned);
    let mut config = builder.with_single_cert(certificate, key).map_err(unusable)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For a connection to this certificate.
pub(super) fn client(identity: &Identity, expected: Digest) -> Result<Arc<ClientConfig>, Error> {
    let (provider, pinned) = parts(BTreeSet::from([expected]));
    let (certificate, key) = own(identity);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(pinned);
    let mut config = builder.with_client_auth_cert(certificate, key).map_err(unusable)?;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn parts(fingerprints: BTreeSet<Digest>) -> (Arc<CryptoProvider>, Arc<Pinned>) {
    let provider = default_provider();
    let algorithms = provider.signature_verification_algorithms;
    (Arc::new(provider), Arc::new(Pinned { fingerprints, algorithms }))
}

fn own(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivateKeyDer::Pkcs8(identity.private_key().clone_key());
    (vec![identity.certificate().clone()], key)
}

fn unusable(error: rustls::Error) -> Error {
    Error::Credential { name: "peer-key".to_owned(), reason: error.to_string() }
}

impl Pinned {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let found = fingerprint(certificate);
        if self.fingerprints.contains(&found) {
            return Ok(());
        }
        Err(CertificateError::Other(OtherError(Arc::new(Stranger(found)))).into())
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
