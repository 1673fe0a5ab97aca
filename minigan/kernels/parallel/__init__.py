"""Threads, memory that is used again, and how a thread waits for another."""
