"""Sentences with planted personal data of known place and kind, and sentences with what only looks like it.

    english(faker, count), numbers(count), chinese(count), look_alikes(count) -> list of (text, [(kind, start, stop)])

English sentences come from presidio-evaluator's templates, filled by faker, with its forms of telephone numbers;
national ids, cards and IBANs from templates of our own, half of them with a word that names the number; Chinese ones
from templates of our own and faker's zh_CN. Everything is drawn from one seed.
"""

import ast
import ipaddress
import random
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from faker import Faker

Sentence = tuple[str, list[tuple[str, int, int]]]
TEMPLATE = re.compile(r"\{\{(\w+)\}\}")
DIGITS, LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REGIONS = "US GB DE FR ES IT NL SE CH AT PL BR MX IN JP KR AU NZ ZA IE".split()

NAMED = [
    "My {name} is {x}.", "{name}: {x}", "Please check the {name} {x} again", "the {name} given was {x}, wasn't it?",
    "{x} ({name})",
]  # fmt: skip
NO_SIGNS = {ord(sign): None for sign in "/@:?#\"'<>`${%*"}
UNNAMED = ["They wrote {x} on the form.", "Is {x} right?", "- {x}\n", "We still have {x} on file, I think", "\"{x}\""]
CHINESE = [
    "我的{name}是{x}，请核对。", "{name}：{x}", "请记下{name}{x}，谢谢！", "客户提供的{name}为{x}。", "【{name}】{x}",
    "如有问题，请联系王女士，{name}{x}。", "张伟的{name}是{x}，已经登记。",
]  # fmt: skip
CHINESE_UNNAMED = [
    "有事打{x}找我。", "李娜，{x}，北京市朝阳区", "登记表上写着{x}，没有写错吧？",
    "（{x}）",
]  # fmt: skip


def planted(template: str, kind: str, value: str, **words: str) -> Sentence:
    text = template.replace("{name}", words.get("name", ""))
    start = text.index("{x}")
    return text.replace("{x}", value), [(kind, start, start + len(value))]


def english(count: int, seed: int) -> list[Sentence]:
    """Each of presidio-evaluator's templates `count` times."""
    folder = Path(find_spec("presidio_evaluator").submodule_search_locations[0]) / "data_generator"
    templates = (folder / "raw_data" / "templates.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    makers = fillers(phone_forms(folder / "faker_extensions" / "providers.py"), seed)
    filled = [fill(line.replace("\\n", "\n").replace("\\,", ","), makers) for line in templates for _ in range(count)]
    return [sentence for sentence in filled if sentence]


def phone_forms(file: Path) -> list[str]:
    """The forms of telephone numbers in presidio-evaluator, read from its source without running it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == "PhoneNumberProviderNew":
            return next(ast.literal_eval(part.value) for part in node.body if isinstance(part, ast.Assign))
    raise SystemExit("presidio-evaluator has no list of telephone forms where it was in version 0.3.2.")


def fillers(forms: list[str], seed: int) -> dict[str, tuple[str, Callable[[], str]]]:
    """For each name in a template: the kind ("" for none of ours) and what makes a value."""
    faker, draw = Faker("en_US"), random.Random(seed)
    faker.seed_instance(seed)
    ours = {
        "phone_number": ("phone", lambda: re.sub("#", lambda _: draw.choice(DIGITS), draw.choice(forms))),
        "email": ("email", lambda: draw.choice([faker.ascii_free_email, faker.ascii_company_email])()),
        "credit_card_number": ("card", faker.credit_card_number), "iban": ("iban", faker.iban),
        "ssn": ("id-us", faker.ssn), "ip_address": ("ip", lambda: public_address(faker, draw)),
    }  # fmt: skip
    others = {"organization": "company", "person": "name", "nationality": "country", "street_name": "street_name",
              "age": "random_digit", "us_driver_license": "license_plate", "nation_woman": "country",
              "nation_plural": "country", "date_of_birth": "date"}  # fmt: skip
    return ours | {name: ("", getattr(faker, method)) for name, method in others.items()} | {
        name: ("", getattr(faker, name))
        for name in ("first_name last_name name city address country building_number secondary_address year postcode "
                     "zipcode name_female "
                     "name_male url job prefix prefix_male prefix_female first_name_male first_name_female "
                     "first_name_nonbinary last_name_male last_name_female date_time state_abbr day_of_week").split()
    }  # fmt: skip


def public_address(faker: Faker, draw: random.Random) -> str:
    make = faker.ipv6 if draw.random() < 0.2 else faker.ipv4_public
    while True:
        address = make()
        if ipaddress.ip_address(address).is_global:
            return address


def fill(template: str, makers: dict) -> Sentence | None:
    """The template with its names filled in; None where it has a name we cannot fill."""
    parts, spans, length = [], [], 0
    for place, part in enumerate(TEMPLATE.split(template)):
        if place % 2 and part not in makers:
            return None
        kind, value = ("", part) if place % 2 == 0 else (makers[part][0], str(makers[part][1]()))
        spans += [(kind, length, length + len(value))] if kind else []
        parts.append(value)
        length += len(value)
    return "".join(parts), spans


def numbers(count: int, seed: int) -> list[Sentence]:
    """`count` sentences for each kind, every other one with a word that names it; credentials stand in addresses."""
    draw, sentences = random.Random(seed), []
    for kind, names, make, needs_name in number_makers(draw, seed):
        for place in range(count):
            named = needs_name or place % 2 == 0
            template = draw.choice(NAMED if named else UNNAMED)
            template = template.replace("{x}", "https://{x}@git.host.io/a") if kind == "url" else template
            sentences.append(planted(template, kind, make(), name=draw.choice(names.split("|"))))
    return sentences


def number_makers(draw: random.Random, seed: int) -> list[tuple[str, str, Callable[[], str], bool]]:
    """(kind, names joined by |, what makes a value, whether nobody writes it without its name: one in ten passes)."""

    def of(country: str, method: str) -> Callable[[], str]:
        faker = Faker(country)
        faker.seed_instance(seed)
        return getattr(faker, method)

    faker = Faker("en_US")
    faker.seed_instance(seed)
    cards, accounts = of("en_US", "credit_card_number"), [of(c, "iban") for c in ("de_DE", "fr_FR", "en_GB", "nl_NL")]
    return [
        ("card", "card number|Visa|credit card", lambda: spaced(of_any(draw, cards), draw), False),
        ("email", "e-mail|email address", faker.ascii_free_email, False),
        ("ip", "IP address|server", lambda: public_address(faker, draw), False),
        ("url", "repository|database", lambda: f"{faker.user_name()}:{faker.password().translate(NO_SIGNS)}", False),
        ("iban", "IBAN|bank account", of_each(draw, accounts), False),
        ("phone, valid", "phone|telephone number|mobile", lambda: valid_phone(draw), False),
        ("id-us", "SSN|social security number", of("en_US", "ssn"), False),
        ("id-us", "ITIN|tax id", of("en_US", "itin"), False),
        ("id-uk", "NHS number", checked(draw, "### ### ####", nhs), True),
        ("id-uk", "national insurance number|NINO", lambda: nino(draw), False),
        ("id-de", "Steuer-ID|steuerliche Identifikationsnummer", lambda: tax_id(draw), False),
        ("id-fr", "NIR|numéro de sécu", of("fr_FR", "ssn"), False),
        ("id-es", "DNI|NIF", of("es_ES", "nif"), False),
        ("id-es", "NIE", of("es_ES", "nie"), False),
        ("id-it", "codice fiscale", of("it_IT", "ssn"), False),
        ("id-nl", "BSN|burgerservicenummer", of("nl_NL", "ssn"), True),
        ("id-br", "CPF", of("pt_BR", "cpf"), False),
        ("id-in", "Aadhaar number|Aadhaar", lambda: aadhaar(draw), False),
        ("id-pl", "PESEL", of("pl_PL", "pesel"), False),
        ("id-kr", "RRN|resident registration number", lambda: korean(draw), False),
        ("id-tw", "Taiwan ID", of("zh_TW", "ssn"), False),
        ("id-sg", "NRIC|FIN", lambda: nric(draw), False),
        ("id-fi", "henkilötunnus|HETU", of("fi_FI", "ssn"), False),
        ("id-se", "personnummer", of("sv_SE", "ssn"), False),
        ("id-ca", "SIN|social insurance number", checked(draw, "### ### ###", luhn, "12345679"), True),
    ]  # fmt: skip


def of_each(draw: random.Random, makers: list[Callable[[], str]]) -> Callable[[], str]:
    return lambda: grouped(draw.choice(makers)(), draw)


def of_any(draw: random.Random, make: Callable[[], str]) -> str:
    """A card of 13 to 19 digits; the shorter ones of old networks are in presidio-evaluator's sentences."""
    while len(value := make()) < 13:
        pass
    return value


def grouped(value: str, draw: random.Random) -> str:
    return " ".join(value[place : place + 4] for place in range(0, len(value), 4)) if draw.random() < 0.5 else value


def spaced(value: str, draw: random.Random) -> str:
    sign = draw.choice(["", " ", "-"])
    return sign.join(value[place : place + 4] for place in range(0, 16, 4)) if sign and len(value) == 16 else value


def digits(draw: random.Random, form: str, first: str = DIGITS) -> str:
    value = re.sub("#", lambda _: draw.choice(DIGITS), form)
    return draw.choice(first) + value[1:]


def checked(draw: random.Random, form: str, check: Callable[[str], bool], first=DIGITS[1:]) -> Callable[[], str]:
    def make() -> str:
        while not check(re.sub("[^0-9]", "", value := digits(draw, form, first))):
            pass
        return value

    return make


# Written anew here, so that a mistake in upwell's own checks would show.
def luhn(value: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(value))]
    return sum(sum(divmod(digit, 10)) for digit in doubled) % 10 == 0


def nhs(value: str) -> bool:
    return sum(int(digit) * (10 - place) for place, digit in enumerate(value[:9])) % 11 == (11 - int(value[9])) % 11


def nino(draw: random.Random) -> str:
    prefix = draw.choice(["AB", "CE", "JK", "LM", "PR", "SX", "YZ", "WE"])
    sign = draw.choice(["", " "])
    return sign.join([prefix, digits(draw, "##"), digits(draw, "##"), digits(draw, "##"), draw.choice("ABCD")])


def tax_id(draw: random.Random) -> str:
    """Ten digits of which one stands twice, and the check of ISO 7064 mod 11,10."""
    first = draw.sample(DIGITS[1:], 1)
    rest = draw.sample([digit for digit in DIGITS if digit not in first], 8)
    body = [*first, *rest]
    body.insert(draw.randint(1, 9), draw.choice(body))
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    value = "".join(body) + str((11 - product) % 10)
    return value if draw.random() < 0.5 else f"{value[:2]} {value[2:5]} {value[5:8]} {value[8:]}"


def aadhaar(draw: random.Random) -> str:
    """Twelve digits of which the last is Verhoeff's, in groups of four, as the card shows them."""
    step = "1576283094"
    body = digits(draw, "###########", "23456789")

    def turned(digit: int, times: int) -> int:
        for _ in range(times % 8):
            digit = int(step[digit])
        return digit

    def product(a: int, b: int) -> int:
        flip = (b if b < 5 else b - 5) * (-1 if a >= 5 else 1)
        return ((a % 5 + flip) % 5) + 5 * ((a >= 5) != (b >= 5))

    for last in DIGITS:
        check = 0
        for place, digit in enumerate(reversed(body + last)):
            check = product(check, turned(int(digit), place))
        if check == 0:
            return f"{body[:4]} {body[4:8]} {body[8:]}{last}"
    raise AssertionError("Verhoeff has a digit for every body")


def korean(draw: random.Random) -> str:
    born = f"{draw.randint(50, 99)}{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}"
    body = born + draw.choice("12") + digits(draw, "#####")
    total = sum(int(digit) * weight for digit, weight in zip(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True))
    return f"{body[:6]}-{body[6:]}{(11 - total % 11) % 10}"


def nric(draw: random.Random) -> str:
    letter, body = draw.choice("STFG"), digits(draw, "#######")
    total = sum(int(digit) * weight for digit, weight in zip(body, (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += 4 * (letter in "TG")
    return letter + body + ("JZIHGFEDCBA" if letter in "ST" else "XWUTRQPNMLK")[total % 11]


def valid_phone(draw: random.Random) -> str:
    """A number that its country's plan allows (Google's phonenumbers), written internationally or, half, nationally."""
    import phonenumbers as library

    while True:
        region = draw.choice(REGIONS)
        example = library.example_number_for_type(region, draw.choice([0, 1]))
        text = str(example.national_number)
        changed = int(text[:-5] + digits(draw, "#####"))
        number = library.PhoneNumber(country_code=example.country_code, national_number=changed,
                                     italian_leading_zero=example.italian_leading_zero)  # fmt: skip
        if library.is_valid_number(number):
            form = draw.choice([library.PhoneNumberFormat.INTERNATIONAL, library.PhoneNumberFormat.E164])
            return library.format_number(number, library.PhoneNumberFormat.NATIONAL if region in ("US", "GB")
                                         and draw.random() < 0.5 else form)  # fmt: skip


def chinese(count: int, seed: int) -> list[Sentence]:
    """`count` sentences for each kind in Chinese."""
    faker, draw = Faker("zh_CN"), random.Random(seed)
    faker.seed_instance(seed)
    makers = [
        ("phone", "手机号|电话|联系电话|微信", lambda: mobile(faker.phone_number(), draw), True),
        ("phone", "电话|座机|传真", lambda: landline(draw), False),
        ("id-cn", "身份证号|身份证号码", faker.ssn, True),
        ("card", "银行卡号|信用卡", faker.credit_card_number, False),
        ("email", "邮箱|电子邮件", faker.ascii_free_email, True),
        ("ip", "IP地址|服务器地址", lambda: public_address(faker, draw), False),
    ]  # fmt: skip
    sentences = []
    for kind, names, make, alone in makers:
        for place in range(count):
            template = draw.choice(CHINESE_UNNAMED if alone and place % 2 else CHINESE)
            text, spans = planted(template, kind, make(), name=draw.choice(names.split("|")))
            sentences.append((text, [(f"{name} (zh)", start, stop) for name, start, stop in spans]))
    return sentences


def mobile(value: str, draw: random.Random) -> str:
    form = draw.choice(["{}", "{}", "{}", "+86 {}", "+86{}", "86-{}", "s", "h"])
    if form in "sh":
        sign = " " if form == "s" else "-"
        return sign.join([value[:3], value[3:7], value[7:]])
    return form.format(value)


def landline(draw: random.Random) -> str:
    area, size = draw.choice([("010", 8), ("021", 8), ("020", 8), ("028", 8), ("0755", 8), ("0571", 8), ("0351", 7)])
    number = draw.choice("2345678") + digits(draw, "#" * (size - 1))
    return draw.choice(["{}-{}", "({}){}", "{} {}", "{}{}"]).format(area, number)


def look_alikes(count: int, seed: int) -> list[Sentence]:
    """Sentences without personal data, `count` of each: versions, ISBNs, hashes, orders, wrong checksums ..."""
    draw = random.Random(seed)
    faker = Faker("en_US")
    faker.seed_instance(seed)

    def broken(make: Callable[[], str]) -> str:
        value = make()
        return value[:-1] + str((int(value[-1]) + draw.randint(1, 9)) % 10)

    def four() -> str:
        return ".".join(str(draw.randint(0, 40)) for _ in range(4))

    def some(form: str) -> str:
        return digits(draw, form, "123456789")

    def year() -> int:
        return draw.randint(1500, 2024)

    makers = [
        lambda: f"Upgrade to version {four()} before Monday.",
        lambda: f"the driver v{four()} is faulty",
        lambda: f"See section {four()} of the manual",
        lambda: f"Chrome/{draw.randint(60, 140)}.0.{draw.randint(1, 255)}.{draw.randint(1, 255)} on Linux",
        lambda: f"ISBN {faker.isbn13()}",
        lambda: f"It has the ISBN {faker.isbn10()}, second edition.",
        lambda: f"It happened on {faker.date()} at {faker.time()}.",
        lambda: f"{faker.date('%d.%m.%Y')} - {faker.date('%d.%m.%Y')}",
        lambda: f"in {year()}-{year()} and {year()} {year()}",
        lambda: f"Order number {some('##########')} has shipped",
        lambda: f"invoice no. {some('###-###-####')}",
        lambda: f"commit {faker.sha1()} broke it",
        lambda: f"md5 {faker.md5()}",
        lambda: f"the request {faker.uuid4()} failed",
        lambda: f"hardware address {faker.mac_address()}",
        lambda: f"https://x.com/i/status/{some('#' * 19)}",
        lambda: f"The population was {draw.randint(1, 99)}.{some('###')}.{some('###')}",
        lambda: f"pi is 3.{some('#' * 16)} or so",
        lambda: f"at {draw.randint(10, 89)}.{some('######')}, {draw.randint(10, 89)}.{some('######')}",
        lambda: f"a check sum is wrong in {broken(lambda: of_any(draw, faker.credit_card_number))}",
        lambda: f"{broken(faker.iban)} is no account",
        lambda: f"icon@{draw.randint(2, 4)}x.png and logo@{draw.randint(2, 4)}x.svg",
        lambda: f"git@{draw.choice(['github', 'gitlab'])}.com:{faker.user_name()}/{faker.word()}.git",
        lambda: f"npm install {faker.word()}@{draw.randint(0, 20)}.{draw.randint(0, 20)}.{draw.randint(0, 20)}",
        lambda: f"std::{faker.word()}<int>::{faker.word()} at {faker.time()}",
        lambda: f"ids: [{some('#########')}, {some('########')}]",
        lambda: f"the timestamp {draw.randint(10**9, 2 * 10**9)}",
        lambda: f"patent {some('#######')} and part {draw.choice(LETTERS)}{some('######')}",
        lambda: f"room {some('###')}-{some('##')}, box {some('####')}",
        lambda: f"它在{year()}年{draw.randint(1, 12)}月卖出了{draw.randint(10**4, 10**8)}台。",
        lambda: f"订单号{some('###########')}已发货",
        lambda: f"版本{four()}已发布",
        lambda: f"编号：{some('#' * 17)}Q",
        lambda: f"书号 {faker.isbn13()}",
        lambda: f"股票代码{some('######')}，成交{some('########')}股",
    ]
    return [(make(), []) for make in makers for _ in range(count)]
