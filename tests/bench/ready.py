"""From a manifest to a login, by the operator and by hand."""


async def by_operator() -> float:
    return 0.0


async def by_hand() -> float:
    return 0.0
