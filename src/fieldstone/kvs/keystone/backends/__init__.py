"""Keystone's backends of dogpile.cache: ``openstack.kvs.Memory`` and ``openstack.kvs.Memcached``."""
