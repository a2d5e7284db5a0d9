"""The gateways that are compared, one file each: how it is had, configured, started and asked."""
