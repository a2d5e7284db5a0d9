"""The formats of strings that an answer is held to, as patterns. Each takes valid texts only, if not every one."""

DATE = r"[0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
COUNT = "[0-9]{1,6}"
LABEL = "[A-Za-z0-9]{1,15}(-[A-Za-z0-9]{1,15}){0,3}"
BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"

PATTERNS = {
    "date": f"^{DATE}$",
    "time": f"^{TIME}$",
    "date-time": f"^{DATE}T{TIME}$",
    "duration": f"^P({COUNT}W|{COUNT}D(T{COUNT}H)?|T{COUNT}H({COUNT}M({COUNT}S)?)?|T{COUNT}M({COUNT}S)?|T{COUNT}S)$",
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "ipv4": rf"^({BYTE}\.){{3}}{BYTE}$",
    "ipv6": "^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$",
    "hostname": rf"^{LABEL}(\.{LABEL}){{0,3}}$",
    "email": rf"^[A-Za-z0-9_+-]{{1,32}}(\.[A-Za-z0-9_+-]{{1,32}}){{0,2}}@{LABEL}(\.{LABEL}){{1,3}}$",
    "uri": rf"^https?://{LABEL}(\.{LABEL}){{0,3}}(:[1-9][0-9]{{0,3}})?(/[A-Za-z0-9._~-]*)*$",
}
