"""Is this number one that could have been issued? Each function takes the value as it was written, separators and all.

The rules are those that the issuers publish: ISO/IEC 7812 (cards), ISO 13616 (IBAN), and the tax or registry office
of each country. A function answers for the checksum and the ranges; the form (how many digits, where letters stand)
is the pattern's concern, in identities and numbers.
"""

from collections import Counter
from datetime import date

ISSUERS = (  # the first digits of a card, as a range, and the lengths that are issued with them
    (4, 4, (13, 16, 19)), (51, 55, (16,)), (2221, 2720, (16,)), (34, 34, (15,)), (37, 37, (15,)),
    (300, 305, (14, 16)), (36, 36, (14, 16)), (38, 39, (14, 16)), (6011, 6011, (16, 19)), (644, 659, (16, 19)),
    (350, 359, (16, 19)), (2131, 2131, (15,)), (1800, 1800, (15,)), (62, 62, (16, 17, 18, 19)),
    (2200, 2204, (16, 17, 18, 19)), (5018, 5018, (12, 13, 14, 15, 16, 17, 18, 19)), (5020, 5020, (12, 16, 19)),
    (5038, 5038, (12, 16, 19)), (56, 58, (12, 13, 16, 19)), (6304, 6304, (12, 16, 18, 19)),
    (6390, 6390, (12, 16, 19)), (6759, 6763, (12, 16, 18, 19)),
)  # fmt: skip
TEST_CARDS = "400000"  # no bank issues these; our own fakes begin so
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
VERHOEFF_TURN = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
ODD_PLACES = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
TAIWAN = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
PROVINCES = {11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54,
             61, 62, 63, 64, 65, 71, 81, 82, 83, 91}  # fmt: skip


def digits_of(value: str) -> list[int]:
    """The ASCII digits of a value, in order."""
    return [int(sign) for sign in value if "0" <= sign <= "9"]


def bare(value: str) -> str:
    """A value without separators, letters large."""
    return "".join(sign for sign in value if sign.isalnum()).upper()


def weighted(digits: list[int], weights: tuple[int, ...] | range) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def real_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def luhn(value: str) -> bool:
    """ISO/IEC 7812-1: from the right, every second digit doubled, digits of the products added, divisible by ten."""
    digits = digits_of(value)[::-1]
    return (sum(digits[::2]) + sum(2 * digit - 9 * (digit > 4) for digit in digits[1::2])) % 10 == 0


def any_card(value: str) -> bool:
    """A right Luhn digit, and no test card."""
    number = "".join(map(str, digits_of(value)))
    return not number.startswith(TEST_CARDS) and len(set(number)) > 1 and luhn(number)


def card(value: str) -> bool:
    """A card number that a known network issues, with the length it uses."""
    number = "".join(map(str, digits_of(value)))
    if not any_card(value):
        return False
    return any(low <= int(number[: len(str(low))]) <= high and len(number) in sizes for low, high, sizes in ISSUERS)


def iban(value: str) -> bool:
    """ISO 13616: the length of its country, and 1 modulo 97; the bank code TEST is nobody's (our fakes have it)."""
    value = bare(value)
    if len(value) != IBAN_LENGTHS.get(value[:2]) or value[4:8] == "TEST":
        return False
    return int("".join(str(int(sign, 36)) for sign in value[4:] + value[:4])) % 97 == 1


def verhoeff(value: str) -> bool:
    """Verhoeff's dihedral check over all digits."""
    check = 0
    for place, digit in enumerate(reversed(digits_of(value))):
        for _ in range(place % 8):
            digit = VERHOEFF_TURN[digit]
        check = dihedral(check, digit)
    return check == 0


def dihedral(left: int, right: int) -> int:
    """The product of two of the ten turns and flips of a pentagon."""
    if left < 5:
        return (left + right) % 5 if right < 5 else (left + right - 5) % 5 + 5
    return (left - 5 - right) % 5 + 5 if right < 5 else (left - right) % 5


def us(value: str) -> bool:
    """Social security numbers, and the tax numbers that begin with 9; not the ones known from advertisements."""
    number = "".join(map(str, digits_of(value)))
    area, group, serial = int(number[:3]), int(number[3:5]), int(number[5:])
    if number in ("078051120", "219099999", "123456789") or number.startswith("98765432"):
        return False
    if area >= 900:
        return 50 <= group <= 99 and group not in (66, 67, 68, 69, 89, 93)
    return area not in (0, 666) and group > 0 and serial > 0


def uk_nhs(value: str) -> bool:
    digits = digits_of(value)
    return len(set(digits)) > 1 and (weighted(digits, range(10, 1, -1)) + digits[9]) % 11 == 0


def uk_insurance(value: str) -> bool:
    return bare(value)[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def germany(value: str) -> bool:
    """ISO 7064 mod 11,10; of the first ten digits exactly one stands twice or three times."""
    digits = digits_of(value)
    repeated = [count for count in Counter(digits[:10]).values() if count > 1]
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return repeated in ([2], [3]) and digits[0] > 0 and (11 - product) % 10 == digits[10]


def france(value: str) -> bool:
    value = bare(value).replace("2A", "19", 1) if "2A" in value.upper()[:10] else bare(value).replace("2B", "18", 1)
    return value.isdigit() and 97 - int(value[:13]) % 97 == int(value[13:])


def spain(value: str) -> bool:
    value = bare(value)
    number = value[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def italy(value: str) -> bool:
    value = bare(value)
    odd = sum(ODD_PLACES[int(sign) if sign.isdigit() else ord(sign) - 65] for sign in value[:15:2])
    even = sum(int(sign) if sign.isdigit() else ord(sign) - 65 for sign in value[1:15:2])
    return chr(65 + (odd + even) % 26) == value[15]


def netherlands(value: str) -> bool:
    digits = digits_of(value)
    return any(digits) and (weighted(digits[:8], range(9, 1, -1)) - digits[8]) % 11 == 0


def brazil(value: str) -> bool:
    digits = digits_of(value)
    first, second = weighted(digits[:9], range(10, 1, -1)), weighted(digits[:10], range(11, 1, -1))
    return len(set(digits)) > 1 and [first * 10 % 11 % 10, second * 10 % 11 % 10] == digits[9:]


def india(value: str) -> bool:
    """Aadhaar: Verhoeff; never begins with 0 or 1, never reads the same backwards, no row of years."""
    digits = digits_of(value)
    groups = value.replace("-", " ").split()
    years = len(groups) == 3 and all(group[:2] in ("19", "20", "21") for group in groups)
    return digits[0] > 1 and digits != digits[::-1] and not years and verhoeff(value)


def poland(value: str) -> bool:
    """PESEL: a date whose month tells the century, and a check digit."""
    digits = digits_of(value)
    year, month, day = digits[0] * 10 + digits[1], digits[2] * 10 + digits[3], digits[4] * 10 + digits[5]
    century = {80: 1800, 0: 1900, 20: 2000, 40: 2100, 60: 2200}[month // 20 * 20]
    check = weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10
    return check == 0 and real_date(century + year, month % 20, day)


def china(value: str) -> bool:
    """GB 11643: province, date of birth, ISO 7064 mod 11-2; the 15 digits before 1999 had no check."""
    value = bare(value)
    if int(value[:2]) not in PROVINCES:
        return False
    if len(value) == 15:
        return real_date(1900 + int(value[6:8]), int(value[8:10]), int(value[10:12]))
    total = sum(int(sign) * 2 ** (17 - place) for place, sign in enumerate(value[:17]))
    born = real_date(int(value[6:10] or 0), int(value[10:12]), int(value[12:14])) and 1850 <= int(value[6:10]) <= 2100
    return born and "10X98765432"[total % 11] == value[17]


def korea(value: str) -> bool:
    """A date and the digit of century and sex; since October 2020 there is no check digit in new numbers."""
    digits = digits_of(value)
    year, month, day = (digits[place] * 10 + digits[place + 1] for place in (0, 2, 4))
    century = {1: 1900, 2: 1900, 5: 1900, 6: 1900, 3: 2000, 4: 2000, 7: 2000, 8: 2000}.get(digits[6], 1800)
    if not real_date(century + year, month, day):
        return False
    check = (11 - weighted(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return check == digits[12] or century + year >= 2020 or "-" in value


def taiwan(value: str) -> bool:
    place = TAIWAN.index(value[0].upper()) + 10
    digits = [place // 10, place % 10, *digits_of(value)]
    return weighted(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def singapore(value: str) -> bool:
    value = bare(value)
    total = weighted(digits_of(value), (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(value[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "KLJNPQRTUWX"}.get(value[0], "XWUTRQPNMLK")
    return letters[10 - total % 11 if value[0] == "M" else total % 11] == value[8]


def finland(value: str) -> bool:
    number = int(value[:6] + value[7:10])
    century = {"+": 1800, "-": 1900}.get(value[6], 1900 if value[6].upper() in "UVWXY" else 2000)
    born = real_date(century + int(value[4:6]), int(value[2:4]), int(value[:2]))
    return born and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == value[10].upper()


def sweden(value: str) -> bool:
    digits = digits_of(value)[-10:]
    month, day = digits[2] * 10 + digits[3], digits[4] * 10 + digits[5]
    return real_date(2000, month, day % 60) and luhn("".join(map(str, digits)))


def canada(value: str) -> bool:
    return digits_of(value)[0] not in (0, 8) and luhn(value)
