"""Which addresses the web pool may connect to: those of the public internet, and no others."""

from ipaddress import ip_address, ip_network

import pytest

from workers.pools.web.addresses import AddressPolicy, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # metadata of most clouds
        "100.100.100.200",  # metadata of Alibaba's, in the space for carrier-grade NAT
        "100.64.0.1",
        "192.0.0.192",  # metadata of Oracle's
        "168.63.129.16",  # metadata of Azure's
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",  # metadata of Amazon's
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    ],
)
def test_an_address_that_is_not_of_the_public_internet_is_not_allowed(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not AddressPolicy().allows(ip_address(address), 80)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_a_public_address_is_allowed_on_the_ports_of_the_web(address: str) -> None:
    policy = AddressPolicy()
    assert [port for port in (22, 25, 80, 443, 6379, 8080) if policy.allows(ip_address(address), port)] == [
        80,
        443,
        8080,
    ]


def test_an_opened_network_is_allowed_on_every_port_and_opens_nothing_else() -> None:
    policy = AddressPolicy(opened=(ip_network("10.1.0.0/16"), ip_network("fd12::/16")))
    assert policy.allows(ip_address("10.1.2.3"), 6379)
    assert policy.allows(ip_address("fd12::1"), 80)
    assert not policy.allows(ip_address("10.2.0.1"), 80)
    assert not policy.allows(ip_address("::ffff:10.2.0.1"), 80)
