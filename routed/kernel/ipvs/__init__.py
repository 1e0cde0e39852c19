"""IPVS, the second dataplane: services and servers by generic netlink, and on disk whose they are."""
