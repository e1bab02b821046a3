//! Who this gateway is to its peers: a name, an RSA key, and the certificate that follows from both.
//!
//! Guarantees: the key is made once and lies in the state folder, sealed with a key that is derived from the log's
//! credential, so that a copied folder speaks for nobody (I8); it is there as a whole or not at all. Does not: mend a
//! key that can't be read: a new one has another fingerprint, which all peers have to be told.
//!
//! RSA with 2048 bits, since go-perun's wire addresses have nothing else; `rsa` makes the key, ring signs.

use std::{
    fmt, fs,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use base64ct::{Base64, Encoding};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::SystemRandom,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rsa::{
    RsaPrivateKey,
    pkcs8::EncodePrivateKey,
    rand_core::{TryCryptoRng, TryRng},
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use sluicegate_channels::wire::{AddressMap, RsaPublicKey, WireAddress};
use sluicegate_protocol::Digest;
use zeroize::Zeroizing;

use super::certificate;
use crate::{
    Error,
    config::{Channels, Config},
    credentials, setup,
};

/// The file below the state folder: a nonce, and the sealed PKCS #8 key behind it.
const FILE: &str = "peer-key";

/// Bits of the key: what go-perun makes.
const BITS: usize = 2048;

/// This gateway among its peers.
pub struct Identity {
    name: String,
    backend: u32,
    key: RsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    certificate: CertificateDer<'static>,
    address: AddressMap,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.fingerprint())
    }
}

impl Identity {
    /// Reads the key of a configured gateway; makes one if there is none.
    pub fn load(config: &Config, channels: &Channels) -> Result<Arc<Self>, Error> {
        setup::private_folder(config.state())?;
        let seal = Zeroizing::new(setup::identity(config)?.peer_key());
        let file = config.state().join(FILE);
        let pkcs8 = match read(&file, &seal)? {
            Some(pkcs8) => pkcs8,
            None => create(&file, &seal)?,
        };
        Self::new(&channels.name, channels.backend, pkcs8)
    }

    /// Of a PKCS #8 key.
    pub fn new(name: &str, backend: u32, pkcs8: Zeroizing<Vec<u8>>) -> Result<Arc<Self>, Error> {
        let key = RsaKeyPair::from_pkcs8(&pkcs8).map_err(|error| wrong(error.to_string()))?;
        let parts = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
        let exponent = parts.e.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
        let public = RsaPublicKey::new(&parts.n, exponent);
        let address = public.and_then(|key| WireAddress::new(name, Some(key)));
        let address = address.and_then(|address| AddressMap::single(backend, address));
        let address = address.map_err(|error| wrong(error.to_string()))?;
        let body = certificate::to_be_signed(name, key.public_key().as_ref());
        let certificate = certificate::signed(&body, &sign(&key, &body)?).into();
        Ok(Arc::new(Self { name: name.to_owned(), backend, key, pkcs8, certificate, address }))
    }

    /// The name, on the wire too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address on the wire: the one entry that go-perun's handshake is dependable with.
    pub const fn address(&self) -> &AddressMap {
        &self.address
    }

    /// What administrators give each other.
    pub fn fingerprint(&self) -> Digest {
        certificate::fingerprint(&self.certificate)
    }

    /// The certificate.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What an administrator of a peer has to enter, as `sluicegate peer identity` prints it. A Sluicegate needs name and
    /// fingerprint, a go-perun node the wire address and the certificate.
    pub fn describe(&self) -> String {
        let wire = self.address.iter().map(|(_, address)| hex(&address.to_bytes()));
        let wire: String = wire.collect();
        let (name, print, backend) = (&self.name, self.fingerprint(), self.backend);
        let pem = self.pem();
        format!(
            "name          {name}\nfingerprint   {print}\nwire address  {backend}: {wire}\n{pem}"
        )
    }

    /// The certificate as Go and OpenSSL read it.
    fn pem(&self) -> String {
        let text = Base64::encode_string(&self.certificate);
        // Base64 is ASCII.
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let lines: Vec<_> = lines.collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", lines.join("\n"))
    }

    /// Signs for go-perun: PKCS #1 v1.5 over SHA-256.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        sign(&self.key, message)
    }

    pub(super) fn private_key(&self) -> PrivatePkcs8KeyDer<'_> {
        PrivatePkcs8KeyDer::from(&self.pkcs8[..])
    }
}

fn wrong(reason: String) -> Error {
    Error::Credential { name: FILE.to_owned(), reason }
}

fn sign(key: &RsaKeyPair, message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut signature = vec![0; key.public().modulus_len()];
    let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
    signed.map_err(|_| wrong("the key does not sign".to_owned()))?;
    Ok(signature)
}

fn read(file: &Path, seal: &[u8; 32]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let unreadable = |error| wrong(format!("{}: {error}", file.display()));
    let sealed = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(unreadable)?,
    };
    let mode = fs::metadata(file).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(format!("others may read {}: chmod 600 it", file.display())));
    }
    let opened = open(sealed, seal).ok_or_else(|| {
        wrong(format!(
            "{} does not open with log.key_credential; put the right credential or file back, or \
             move the file away for a new identity, which all peers have to be told",
            file.display()
        ))
    });
    opened.map(Some)
}

fn open(sealed: Vec<u8>, seal: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
    // It is opened in place.
    let mut sealed = Zeroizing::new(sealed);
    let (nonce, _) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = sealing_key(seal)?.open_within(nonce, Aad::empty(), &mut sealed, NONCE_LEN..);
    opened.ok().map(|opened| Zeroizing::new(opened.to_vec()))
}

fn create(file: &Path, seal: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, Error> {
    keep(file, seal, generate()?)
}

/// Keeps the key, unless another process has made one meanwhile: then that one counts.
fn keep(
    file: &Path,
    seal: &[u8; 32],
    pkcs8: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|error| wrong(error.to_string()))?;
    let sealed =
        close(&pkcs8, nonce, seal).ok_or_else(|| wrong("it can't be sealed".to_owned()))?;
    match write(file, &sealed) {
        Ok(()) => Ok(pkcs8),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(file, seal)?.ok_or_else(|| wrong("it is made and taken away at once".to_owned()))
        }
        Err(error) => Err(Error::storage(format!("writing {}", file.display()))(error)),
    }
}

fn close(pkcs8: &[u8], nonce: [u8; NONCE_LEN], seal: &[u8; 32]) -> Option<Vec<u8>> {
    let mut secret = pkcs8.to_vec();
    let unique = Nonce::assume_unique_for_key(nonce);
    // In place: no copy of the key stays behind.
    sealing_key(seal)?.seal_in_place_append_tag(unique, Aad::empty(), &mut secret).ok()?;
    Some([&nonce[..], &secret].concat())
}

fn sealing_key(seal: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, seal).ok().map(LessSafeKey::new)
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // A name of its own: others may be at it at the same time.
    let mut unique = [0; 8];
    getrandom::fill(&mut unique).map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = file.with_extension(format!("new-{}", hex(&unique)));
    let mut options = OpenOptions::new();
    let mut opened = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
    opened.write_all(bytes)?;
    opened.sync_all()?;
    // A link, not a rename: it fails where another key stands by now.
    let linked = fs::hard_link(&temporary, file);
    fs::remove_file(&temporary)?;
    linked?;
    fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// A new PKCS #8 key.
pub(super) fn generate() -> Result<Zeroizing<Vec<u8>>, Error> {
    let seed = credentials::random().map_err(|error| wrong(error.to_string()))?;
    let mut stream = Stream { seed: Zeroizing::new(seed), blocks: 0 };
    let key = RsaPrivateKey::new(&mut stream, BITS).map_err(|error| wrong(error.to_string()))?;
    let document = key.to_pkcs8_der().map_err(|error| wrong(error.to_string()))?;
    Ok(Zeroizing::new(document.as_bytes().to_vec()))
}

/// Random bytes from a random seed, as `rsa` wants them: without a way to fail.
struct Stream {
    seed: Zeroizing<[u8; 32]>,
    blocks: u64,
}

impl Stream {
    fn block(&mut self) -> Zeroizing<[u8; 32]> {
        let mut hash = Sha256::new();
        hash.update(b"sluicegate/peer-key/v1\0");
        hash.update(*self.seed);
        hash.update(self.blocks.to_be_bytes());
        self.blocks += 1;
        Zeroizing::new(hash.finalize().into())
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            chunk.copy_from_slice(&self.block()[..chunk.len()]);
        }
    }
}

impl TryRng for Stream {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Stream {}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_keys_that_are_made_at_once_one_counts_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let makers: Vec<_> = (0..16_u8)
            .map(|number| {
                let file = file.clone();
                let key = Zeroizing::new(vec![number; 32]);
                std::thread::spawn(move || keep(&file, &[7; 32], key).unwrap().to_vec())
            })
            .collect();
        let kept: Vec<_> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        let stored = read(&file, &[7; 32]).unwrap().unwrap().to_vec();
        assert!(kept.iter().all(|key| *key == stored), "{kept:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left over");
    }
}
