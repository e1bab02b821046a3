//! From a configuration to the parts of a gateway: keys, store, ledger.
//!
//! Guarantees: every backend is one row of [`connect`]; nothing here runs or waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::Arc,
};

use sluicegate_embedded::{
    chain,
    client::{Client, Embedded, Remotely},
    owner::{Owner, SystemClock},
};
use sluicegate_ledger::{Anchors, Channels, fees::Limits, outbox};
use sluicegate_notary::anchoring::Cadence;
use sluicegate_protocol::{
    SigningKey,
    note::{KeyKind, VerifierKey},
};

use crate::{
    Error,
    clock::Clock,
    config::{Config, Ledger, LedgerKind},
    credentials,
    desk::Setup,
    devices,
    disk::{Disk, Folder},
    effects::Effects,
    identity::Identity,
    recorder::{LOGS, Plan, origin_of},
};

/// Name of the embedded ledger's file in its folder.
const LEDGER_FILE: &str = "ledger";

/// How long a ledger process may take to answer.
const LEDGER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A ledger for the gateway, and its owner where that is this process.
pub struct Connected {
    /// The gateway's account on it.
    pub ledger: Arc<dyn Anchors>,
    /// The same account's payment channels.
    pub channels: Arc<dyn Channels>,
    /// To be driven by this process.
    pub owner: Option<Arc<Owner>>,
}

/// What the keeper is made for.
pub fn desk(config: &Config, clock: Clock) -> Result<Setup, Error> {
    let state = config.state().to_owned();
    private_folder(&state)?;
    let effects = config.effects_log.as_deref().map_or(Ok(Effects::none()), Effects::append_to)?;
    Ok(Setup {
        plan: plan(config)?,
        cadence: Cadence {
            interval_ms: config.anchor.interval.0,
            heartbeat_ms: config.anchor.heartbeat.0,
            max_leaves: config.anchor.max_leaves,
            retry_ms: config.anchor.retry.0,
        },
        retention: BTreeMap::clone(&config.retention),
        publish_interval_ms: config.log.publish_interval.0,
        effects,
        clock,
        state,
    })
}

/// The log's keys.
pub fn identity(config: &Config) -> Result<Identity, Error> {
    Ok(Identity::new(&*credentials::load(config, &config.log.key_credential)?))
}

/// How the outbox behaves.
pub fn outbox_settings(config: &Config) -> outbox::Settings {
    let per_day = u128::from(config.anchor.max_fee_per_day);
    let limits = Limits {
        per_transaction: u128::from(config.anchor.max_fee),
        per_day,
        carry_over: per_day,
        dispute_share_bp: config.payments.as_ref().map_or(0, |p| p.max_fee_percent * 100),
    };
    let interval = config.ledger.block_interval.0.max(10);
    outbox::Settings {
        limits,
        poll_ms: interval,
        backoff_min_ms: interval,
        backoff_max_ms: 60_000,
        bump_after_ms: interval.saturating_mul(30),
        capacity: 1_000,
    }
}

/// The gateway's account on the configured ledger.
pub fn connect(config: &Config) -> Result<Connected, Error> {
    let account = credentials::load(config, &config.ledger.account_credential)?;
    match (config.ledger.kind, &config.ledger.socket) {
        (LedgerKind::Embedded, Some(socket)) => {
            let remotely = Remotely {
                socket: socket.clone(),
                name: config.ledger.name.clone(),
                verifier: ledger_key(config)?,
                limit: LEDGER_PATIENCE,
            };
            let ledger = Arc::new(Client::new(remotely, &account)?);
            Ok(Connected { ledger: ledger.clone(), channels: ledger, owner: None })
        }
        (LedgerKind::Embedded, None) => {
            let owner = own_ledger(config)?;
            let ledger = Arc::new(Embedded::new(Arc::clone(&owner), &account)?);
            let ledger: Arc<Embedded> = ledger;
            Ok(Connected { ledger: ledger.clone(), channels: ledger, owner: Some(owner) })
        }
    }
}

/// The embedded ledger's file, owned by this process.
pub fn own_ledger(config: &Config) -> Result<Arc<Owner>, Error> {
    let Ledger { name, key_credential, .. } = &config.ledger;
    let key_credential = key_credential.as_deref().ok_or_else(|| {
        Error::Usage("ledger.key_credential is needed to own the ledger".to_owned())
    })?;
    let key = credentials::load(config, key_credential)?;
    let folder = config.ledger_state();
    private_folder(&folder)?;
    let settings = chain::Settings {
        grant: config.ledger.grant,
        base_fee: config.ledger.base_fee,
        finality_blocks: config.ledger.finality_blocks,
        block_interval_ms: config.ledger.block_interval.0,
        ..chain::Settings::new(name.clone())
    };
    let file = folder.join(LEDGER_FILE);
    open_owner(&file, settings, &key)
}

/// The ledger's verifier key: as configured, or of its own key where this configuration names it.
pub fn ledger_key(config: &Config) -> Result<Option<String>, Error> {
    let ledger = &config.ledger;
    if ledger.verifier_key.is_some() {
        return Ok(ledger.verifier_key.clone());
    }
    let Some(credential) = &ledger.key_credential else { return Ok(None) };
    let key = SigningKey::from_bytes(&*credentials::load(config, credential)?).verifying_key();
    let key = VerifierKey::new(&ledger.name, KeyKind::Note, key);
    Ok(Some(key.map_err(sluicegate_notary::Error::from)?.to_string()))
}

/// The policy that a verifier of this gateway's bundles needs: a key for each log so far.
pub fn policy(config: &Config) -> Result<String, Error> {
    let identity = identity(config)?;
    let logs = Folder::new(config.state()).list(LOGS).unwrap_or_default();
    // Damaged ones too, which are `<number>.damaged…`: what they signed still holds.
    let number = |name: &String| name.split('.').next()?.parse().ok();
    let numbers: BTreeSet<u32> = logs.iter().filter_map(number).chain([1]).collect();
    let mut text =
        "# Whom to trust. Hand this file to verifiers yourself, not with a bundle.\n".to_owned();
    for number in numbers {
        let key = identity.verifier_key(&origin_of(&config.log.origin, number));
        let key = key.map_err(sluicegate_notary::Error::from)?;
        text.push_str(&format!("log {key}\n"));
    }
    if let Some(key) = ledger_key(config)? {
        text.push_str(&format!("ledger {key}\n"));
    }
    Ok(text + "quorum none\n")
}

/// Creates a folder for this user alone; everything that the process creates from here on is for this user alone (I8).
pub(crate) fn private_folder(folder: &Path) -> Result<(), Error> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(Error::storage(format!("creating the folder {}", folder.display())))
}

fn plan(config: &Config) -> Result<Plan, Error> {
    Ok(Plan {
        origin: config.log.origin.clone(),
        identity: identity(config)?,
        database: config.state().join("gateway.db"),
        vfs: None,
        devices: devices::names(config),
        commit_delay_ms: config.log.commit_delay.0,
        commit_count: config.log.commit_count,
        max_pending: config.log.max_pending,
        max_payload: config.log.max_payload,
    })
}

fn open_owner(file: &Path, settings: chain::Settings, key: &[u8; 32]) -> Result<Arc<Owner>, Error> {
    Owner::open(file, settings, key, Arc::new(SystemClock), false).map_err(|error| {
        Error::Damaged(format!("the ledger's file {} can't be opened: {error}", file.display()))
    })
}
