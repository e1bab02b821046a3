//! Block-wise transfers as a server (RFC 7959): bodies that come in, large answers that go out.
//!
//! Guarantees: a body is handed on only when every byte of it came, in order; a gap is 4.08, a body
//! that is too large 4.13 with Size1. A large answer that is kept is the same in all its blocks, by
//! its ETag. Does not: keep answers for peers of unproven address, or when there is no room: the
//! application is then asked again for each block, and the ETag shows a change.

use std::hash::Hasher;

use super::{Endpoint, Peer, timers::Timer};
use crate::{Code, Options, Response, block::Block, option};

/// A body that comes in.
#[derive(Debug)]
pub(super) struct Upload {
    key: u64,
    body: Vec<u8>,
    deadline: u64,
}

/// A large answer.
#[derive(Debug)]
pub(super) struct Representation {
    key: u64,
    pub(super) response: Response,
    deadline: u64,
}

/// What to do with a block that came in.
#[derive(Debug)]
pub(super) enum Arrived {
    /// The body is whole.
    Whole(Vec<u8>),
    /// Send this.
    Reply(Response, Vec<(u16, u32)>),
}

impl Arrived {
    fn error(code: Code) -> Self {
        Self::Reply(Response::new(code), Vec::new())
    }

    /// 4.13, with the size that would be allowed.
    fn too_large(limit: usize) -> Self {
        let size = u32::try_from(limit).unwrap_or(u32::MAX);
        Self::Reply(Response::new(Code::REQUEST_ENTITY_TOO_LARGE), vec![(option::SIZE1, size)])
    }
}

/// Bytes of an answer beside its block: header, token, ETag, Content-Format, Block2, marker.
const BLOCK_OVERHEAD: usize = 4 + 8 + 9 + 3 + 4 + 1;

impl<P: Peer> Endpoint<P> {
    /// Whether this block is the next of a transfer that goes on.
    pub(super) fn continues(&self, peer: u64, key: u64, block: Block) -> bool {
        let uploads = self.peers.get(peer).map_or(&[][..], |state| &state.uploads);
        let goes_on = |upload: &Upload| upload.key == key && block.offset() <= upload.body.len();
        block.number > 0 && uploads.iter().any(goes_on)
    }

    /// A block of a request's body.
    pub(super) fn block_arrived(
        &mut self,
        now: u64,
        peer: u64,
        key: u64,
        block: Block,
        size: Option<u32>,
        payload: &[u8],
    ) -> Arrived {
        let announced = size.map_or(0, |size| size as usize);
        if !block.fits(payload.len()) {
            return Arrived::error(Code::BAD_REQUEST);
        }
        let end = block.offset().saturating_add(payload.len());
        if end.max(announced) > self.settings.body {
            self.drop_upload(peer, key);
            return Arrived::too_large(self.settings.body);
        }
        if block.number == 0 {
            self.drop_upload(peer, key);
            if !block.more {
                return Arrived::Whole(payload.to_vec());
            }
            self.begin_upload(peer, key);
        }
        match self.extend_upload(now, peer, key, block, payload) {
            Some(true) if !block.more => Arrived::Whole(self.drop_upload(peer, key)),
            Some(true) => {
                let smaller = Block { exponent: block.exponent.min(self.block), ..block };
                let continues = vec![(option::BLOCK1, smaller.encode())];
                Arrived::Reply(Response::new(Code::CONTINUE), continues)
            }
            Some(false) => {
                self.drop_upload(peer, key);
                Arrived::too_large(self.settings.bytes_per_peer.min(self.settings.body))
            }
            None => {
                self.drop_upload(peer, key);
                Arrived::error(Code::REQUEST_ENTITY_INCOMPLETE)
            }
        }
    }

    fn begin_upload(&mut self, peer: u64, key: u64) {
        while let Some(state) = self.peers.get(peer) {
            let limit = self.settings.uploads_per_peer.max(1);
            match state.uploads.first().map(|oldest| oldest.key) {
                Some(oldest) if state.uploads.len() >= limit => self.drop_upload(peer, oldest),
                _ => break,
            };
        }
        if let Some(state) = self.peers.get_mut(peer) {
            state.uploads.push(Upload { key, body: Vec::new(), deadline: 0 });
        }
    }

    /// Adds a block: none if bytes before it are missing or differ, false if there is no memory.
    fn extend_upload(
        &mut self,
        now: u64,
        peer: u64,
        key: u64,
        block: Block,
        payload: &[u8],
    ) -> Option<bool> {
        let deadline = now.saturating_add(self.settings.transfer_timeout);
        let find = |uploads: &[Upload]| uploads.iter().position(|upload| upload.key == key);
        let uploads = &self.peers.get(peer)?.uploads;
        let body = &uploads[find(uploads)?].body;
        let (have, offset) = (body.len(), block.offset());
        if offset < have {
            return (body.get(offset..offset + payload.len()) == Some(payload)).then_some(true);
        }
        if offset > have {
            return None;
        }
        if !self.reserve(peer, payload.len()) {
            return Some(false);
        }
        let uploads = &mut self.peers.get_mut(peer)?.uploads;
        let place = find(uploads)?;
        uploads[place].body.extend_from_slice(payload);
        uploads[place].deadline = deadline;
        self.time_transfers(peer);
        Some(true)
    }

    /// Ends a transfer and gives what came so far.
    fn drop_upload(&mut self, peer: u64, key: u64) -> Vec<u8> {
        let Some(state) = self.peers.get_mut(peer) else { return Vec::new() };
        let Some(place) = state.uploads.iter().position(|upload| upload.key == key) else {
            return Vec::new();
        };
        let body = state.uploads.remove(place).body;
        self.release(peer, body.len());
        body
    }

    /// Cuts an answer to the block that was asked for, or to the first one. Gives the payload's range
    /// and the options to add; an answer that was kept for further blocks has an ETag.
    pub(super) fn cut(
        &mut self,
        now: u64,
        peer: u64,
        key: u64,
        asked: Option<Block>,
        response: &mut Response,
    ) -> (std::ops::Range<usize>, Option<Block>) {
        let largest = self.largest_block(peer);
        let first = Block { number: 0, more: false, exponent: largest };
        let block = asked.map_or(first, |asked| asked.at_most(largest));
        let length = response.payload.len();
        if length <= block.size() && asked.is_none() {
            return (0..length, None);
        }
        let Some((block, part)) = block.slice(&response.payload) else {
            *response = Response::new(Code::BAD_REQUEST);
            return (0..0, None);
        };
        let range = block.offset()..block.offset() + part.len();
        if length > block.size() && response.code.is_success() {
            self.tag(response);
        }
        if block.more && block.number == 0 {
            self.keep(now, peer, key, response);
        }
        (range, Some(block))
    }

    /// The exponent of the largest block that the peer may get: one of unproven address gets small
    /// blocks while they stay below three times what it sent, and needs no Echo for them.
    fn largest_block(&self, peer: u64) -> u8 {
        let Some(state) = self.peers.get(peer) else { return self.block };
        if state.is_trusted() {
            return self.block;
        }
        let fits = |exponent: &u8| BLOCK_OVERHEAD + (16_usize << exponent) <= state.credit;
        (0..=self.block).rev().find(fits).unwrap_or(self.block)
    }

    /// An answer of several blocks has an ETag, so that a change between blocks is seen.
    fn tag(&self, response: &mut Response) {
        if response.etag().is_none() {
            let mut hasher = self.hasher();
            hasher.write(response.options.as_bytes());
            hasher.write(&response.payload);
            response.options.insert(option::ETAG, &hasher.finish().to_be_bytes());
        }
    }

    /// Keeps an answer for its further blocks, if the peer's address is known and there is room.
    fn keep(&mut self, now: u64, peer: u64, key: u64, response: &Response) {
        self.drop_representation(peer, key);
        let limit = self.settings.representations_per_peer;
        let Some(state) = self.peers.get(peer) else { return };
        if limit == 0 || !state.is_trusted() {
            return;
        }
        if state.representations.len() >= limit {
            let oldest = state.representations[0].key;
            self.drop_representation(peer, oldest);
        }
        if self.reserve(peer, response.size()) {
            let deadline = now.saturating_add(self.settings.transfer_timeout);
            let kept = Representation { key, response: response.clone(), deadline };
            if let Some(state) = self.peers.get_mut(peer) {
                state.representations.push(kept);
            }
            self.time_transfers(peer);
        }
    }

    fn drop_representation(&mut self, peer: u64, key: u64) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        let mut bytes = 0;
        state.representations.retain(|kept| {
            bytes += if kept.key == key { kept.response.size() } else { 0 };
            kept.key != key
        });
        self.release(peer, bytes);
    }

    /// The further block of an answer that was kept: its code, options and payload.
    pub(super) fn kept_block(
        &mut self,
        now: u64,
        peer: u64,
        key: u64,
        asked: Block,
    ) -> Option<(Response, Block)> {
        let limit = self.block;
        let deadline = now.saturating_add(self.settings.transfer_timeout);
        let state = self.peers.get_mut(peer)?;
        let kept = state.representations.iter_mut().find(|kept| kept.key == key)?;
        kept.deadline = deadline;
        let Response { code, options, payload } = &kept.response;
        let (code, options) = (*code, options.clone());
        let Some((block, part)) = asked.at_most(limit).slice(payload) else {
            return Some((Response::new(Code::BAD_REQUEST), asked));
        };
        Some((Response { code, options, payload: part.to_vec() }, block))
    }

    /// Drops the transfers of a peer that stand still.
    pub(super) fn transfers_due(&mut self, now: u64, peer: u64) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        let mut bytes = 0;
        state.uploads.retain(|upload| {
            let keep = upload.deadline > now;
            bytes += if keep { 0 } else { upload.body.len() };
            keep
        });
        state.representations.retain(|kept| {
            let keep = kept.deadline > now;
            bytes += if keep { 0 } else { kept.response.size() };
            keep
        });
        self.release(peer, bytes);
        self.time_transfers(peer);
    }

    fn time_transfers(&mut self, peer: u64) {
        let Some(state) = self.peers.get(peer) else { return };
        let uploads = state.uploads.iter().map(|upload| upload.deadline);
        let kept = state.representations.iter().map(|kept| kept.deadline);
        match uploads.chain(kept).min() {
            Some(deadline) => self.timers.set(Timer::Transfers(peer), deadline),
            None => self.timers.clear(Timer::Transfers(peer)),
        }
    }

    /// A hash of what tells this request's answer from others: method, path, query, formats, tag.
    pub(super) fn cache_key(&self, method: crate::Method, options: &Options) -> u64 {
        let mut hasher = self.hasher();
        hasher.write_u8(method.code().0);
        options.cache_key(|number, value| {
            hasher.write_u16(number);
            hasher.write_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
            hasher.write(value);
        });
        hasher.finish()
    }
}
