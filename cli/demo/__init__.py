"""`lossylab demo`: what comes with lossylab at work on a few images."""
