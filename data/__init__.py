"""Images in: named collections, safe decoding, deterministic patches."""
