"""SQL that makes many rows at once."""


def new_id(number):
    """A UUIDv7 of today, one for each number: in their order, as ids that are made in turn."""
    millisecond = "LPAD(HEX(FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000)), 12, '0')"
    return f"UNHEX(CONCAT({millisecond}, '7000', LPAD(HEX({number}), 16, '0')))"
