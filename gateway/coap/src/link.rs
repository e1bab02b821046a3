//! Link format (RFC 6690 §2): strict parser and writer.
