"""Secrets in code: the forms of services, assignments that look drawn by chance, and what only looks like them.

Every key is put together when the test runs, so that none stands in the repository.
"""

import random
import string

import pytest

from upwell.text import Document
from upwell.text.privacy.keys import entropy
from upwell.text.steps.secrets import Settings, found, step

LETTERS, CAPITALS, HEX = string.ascii_letters + string.digits, string.ascii_uppercase + "234567", "0123456789abcdef"


def drawn(count: int, alphabet: str = LETTERS) -> str:
    return "".join(random.Random(count + len(alphabet)).choices(alphabet, k=count))


KEYS = {
    "AWS key": "AK" + "IA" + drawn(16, CAPITALS),
    "GitHub token": "gh" + "p_" + drawn(36),
    "GitHub token, new": "github" + "_pat_" + drawn(22) + "_" + drawn(59),
    "GitLab token": "gl" + "pat-" + drawn(20),
    "Slack token": "xo" + "xb-" + drawn(12, string.digits) + "-" + drawn(24),
    "Stripe key": "sk_" + "live_" + drawn(24),
    "OpenAI key": "s" + "k-" + drawn(20) + "T3Blbk" + "FJ" + drawn(20),
    "OpenAI key, project": "s" + "k-proj-" + drawn(74) + "T3Blbk" + "FJ" + drawn(74),
    "Anthropic key": "sk-" + "ant-" + "api03-" + drawn(93) + "AA",
    "Google key": "AI" + "za" + drawn(35),
    "Google key, client": "GOC" + "SPX-" + drawn(28),
    "npm token": "np" + "m_" + drawn(36),
    "PyPI token": "py" + "pi-" + "AgEIcHlwaS5vcmc" + drawn(80),
    "Hugging Face token": "h" + "f_" + drawn(34),
    "SendGrid key": "S" + "G." + drawn(22) + "." + drawn(43),
    "DigitalOcean token": "do" + "p_v1_" + drawn(64, HEX),
    "Databricks token": "da" + "pi" + drawn(32, HEX),
    "JWT": "ey" + "J" + drawn(30) + "." + "ey" + "J" + drawn(60) + "." + drawn(43),
}
HOOK = "T" + drawn(8, CAPITALS) + "/B" + drawn(9, CAPITALS) + "/" + drawn(24)
AZURE = drawn(86) + "=="
PASSWORD = "tr0ub4" + "dor&3"
LONG = drawn(32)
ASSIGNED = [
    ("password = '{}'", PASSWORD), ('"db_password": "{}",', PASSWORD), ("DB_PASSWORD={}\n", PASSWORD.replace("&", "!")),
    ("<x password='{}'/>", PASSWORD), ("api_key = '{}'", LONG), ('{{"apiKey": "{}"}}', LONG), ("secret := `{}`", LONG),
    ("SECRET_KEY={}\n", LONG), ("const authToken: string = '{}'", LONG), ("client.secret={}", LONG),
    ("Server=db;User Id=sa;Password={};", PASSWORD), ("postgres://app:{}@db.host.io/x", PASSWORD),
    ("redis://:{}@cache:6379", PASSWORD), ("https://hooks.slack.com/services/{}", HOOK), ("AccountKey={};", AZURE),
]  # fmt: skip
NO_SECRETS = [
    "password = os.environ['DB_PASSWORD']", "password = 'changeme'", "password: ''", "password = getpass.getpass()",
    "token = 'your-token-here-please-1'", "api_key = '<YOUR-API-KEY-1234567>'", "secret = '${SECRET_FROM_VAULT_1}'",
    "password_field = 'customer_password'", "assert token == expected_token_value", "passwords = ['a', 'b']",
    "def login(user, password): pass", "compass = 'N45E12S33W9'", "max_tokens = 1234567890", "key = 'customer-42'",
    "for token in tokenizer.tokenize(text1):", "postgres://user:password@localhost/db", "mysql://$USER:$PASS@db/x",
    "sha256 = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'", "-----BEGIN CERTIFICATE-----",
    "if 'PRIVATE KEY' in text: a = '-----BEGIN PRIVATE KEY-----'; b = '-----END PRIVATE KEY-----'",
    "public_key = 'ssh-rsa'", "token: Optional[str] = None", "secretary = 'Mrs. Miller from room 42'",
]  # fmt: skip


def block(kind: str = "RSA ") -> str:
    lines = "\n".join(drawn(64 - place) for place in range(8))
    return f"-----BEGIN {kind}" + f"PRIVATE KEY-----\n{lines}\n-----END {kind}" + "PRIVATE KEY-----"


def mask(text: str, kind: str = "code", **settings) -> Document:
    return step(Settings(**settings))(Document(text, "f", kind=kind))


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("frame", ["key = '{}'", "export KEY={}\n", "# {} was mine", '["{}"]'])
def test_keys_of_services_are_masked_whole(kind, frame):
    document = mask(frame.format(KEYS[kind]))
    assert document.text == frame.format("<SECRET>")
    assert document.changes == ((f"{kind.split(',')[0]} masked", 1),)


@pytest.mark.parametrize(("frame", "value"), ASSIGNED)
def test_the_value_alone_is_masked_and_its_name_stays(frame, value):
    assert mask(frame.format(value)).text == frame.format("<SECRET>")


@pytest.mark.parametrize("text", NO_SECRETS)
def test_names_calls_stand_ins_and_hashes_are_left_alone(text):
    assert [span.value for span in found(text, Settings())] == []


def test_a_key_without_any_order_is_needed():
    assert mask("gh" + "p_" + "a" * 36).changes == ()


def test_prose_is_not_searched_but_for_private_keys():
    key = KEYS["GitHub token"]
    assert mask(f"My token is {key}.", "prose").text == f"My token is {key}."
    assert mask(f"My token is {key}.", "prose", everywhere=True).text == "My token is <SECRET>."
    assert mask(f"Here:\n{block()}\nDone.", "prose").text == "Here:\n<SECRET>\nDone."


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_private_keys_are_masked_with_their_frame(kind):
    assert mask(f"a\n{block(kind)}\nb").text == "a\n<SECRET>\nb"
    assert mask("key = '" + block(kind).replace("\n", "\\n") + "'").text == "key = '<SECRET>'"


def test_a_private_key_that_is_cut_off_is_masked_as_far_as_it_goes():
    cut = block().rsplit("\n", 2)[0]
    assert mask(cut + "\n\nand so on").text.startswith("<SECRET>")
    assert drawn(60) not in mask(cut + "\n\nand so on").text


def test_two_secrets_in_one_line_are_two():
    text = f"{KEYS['AWS key']} {KEYS['npm token']}"
    document = mask(text)
    assert document.text == "<SECRET> <SECRET>"
    assert document.changes == (("AWS key masked", 1), ("npm token masked", 1))


def test_masking_twice_is_masking_once():
    text = "\n".join([*KEYS.values(), *(frame.format(value) for frame, value in ASSIGNED), block()])
    once = mask(text)
    assert mask(once.text).text == once.text and not any(value in once.text for value in KEYS.values())


def test_the_threshold_decides_what_looks_drawn_by_chance():
    weak = "aabbaabb" + "11221122"
    assert mask(f"api_key = '{weak}'").changes == ()
    assert mask(f"api_key = '{weak}'", entropy=1.0).text == "api_key = '<SECRET>'"


def test_entropy_is_that_of_the_counts():
    assert entropy("aaaa") == 0 and entropy("abcd") == 2 and entropy("aabb") == 1


def test_letters_whose_small_form_is_longer_move_no_place():
    assert mask(f"# İİİ\npassword = '{PASSWORD}'").text == "# İİİ\npassword = '<SECRET>'"
