"""Bytes of any codec, classical or learned."""
