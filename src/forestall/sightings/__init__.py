"""Tables of routers, switches, DHCP and RADIUS servers, and the company's own lists: bytes -> sightings."""
