"""What dags/policies/pii.yaml makes of a value, and FF1 (NIST SP 800-38G), by Python's own means."""
import functools
import hashlib
import hmac
import unicodedata


def derived(master, info):
    """HKDF-SHA256 with the salt of masking, by RFC 5869: the key of one use."""
    extracted = hmac.new(b"sluice/mask/v1", master, hashlib.sha256).digest()
    return hmac.new(extracted, info.encode() + b"\x01", hashlib.sha256).digest()


def pseudonym(master, domain, value):
    key = derived(master, f"hmac|{domain}|k1")
    return None if value is None else hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


def email(value):
    """The first letter and the domain stay."""
    return value[0] + "***" + value[value.rindex("@"):]


def partial(value, keep_last=4):
    """All but the last letters and digits hidden, `- . space ( )` where they were."""
    if value is None:
        return None
    hidden = sum(c not in "-. ()" for c in value) - keep_last
    out = []
    for c in value:
        counts = c not in "-. ()"
        out.append("*" if counts and hidden > 0 else c)
        hidden -= counts
    return "".join(out)


def customer(master, row):
    """The masked columns of a customer but for the token, which is random."""
    return dict(
        full_name=pseudonym(master, "name", unicodedata.normalize("NFC", row["full_name"]))[:32],
        email_key=pseudonym(master, "email", row["email"]), email_masked=email(row["email"]), phone=partial(row["phone"]),
        birth_date=row["birth_date"].year)


def order(fact):
    return dict(card_number=partial(fact["card_number"]), ip=hashlib.md5(fact["ip"].encode()).hexdigest())


# AES, one block, to encrypt only: what FF1 needs.

@functools.cache
def _tables():
    box, p, q = [0] * 256, 1, 1
    while True:
        p = p ^ (p << 1) & 255 ^ (0x1B if p & 128 else 0)
        q ^= q << 1
        q ^= q << 2
        q = (q ^ q << 4) & 255
        q ^= 0x09 if q & 128 else 0
        x = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4)
        box[p] = (x ^ 0x63) & 255
        if p == 1:
            break
    box[0] = 0x63
    twice = [x << 1 ^ (0x11B if x & 128 else 0) for x in range(256)]
    return box, twice


class Aes:
    def __init__(self, key):
        box, twice = _tables()
        words = [list(key[i:i + 4]) for i in range(0, len(key), 4)]
        n, constant = len(words), 1
        while len(words) < 4 * (n + 7):
            word = list(words[-1])
            if len(words) % n == 0:
                word = [box[b] for b in word[1:] + word[:1]]
                word[0] ^= constant
                constant = twice[constant]
            elif n == 8 and len(words) % n == 4:
                word = [box[b] for b in word]
            words.append([a ^ b for a, b in zip(word, words[-n])])
        self.rounds = [sum(words[i:i + 4], []) for i in range(0, len(words), 4)]

    def block(self, data):
        box, twice = _tables()
        state = [a ^ b for a, b in zip(data, self.rounds[0])]
        for i, key in enumerate(self.rounds[1:], 1):
            state = [box[state[(j + 4 * (j % 4)) % 16]] for j in range(16)]
            if i < len(self.rounds) - 1:
                mixed = []
                for c in range(0, 16, 4):
                    a = state[c:c + 4]
                    whole = a[0] ^ a[1] ^ a[2] ^ a[3]
                    mixed += [a[j] ^ whole ^ twice[a[j] ^ a[(j + 1) % 4]] for j in range(4)]
                state = mixed
            state = [a ^ b for a, b in zip(state, key)]
        return bytes(state)

    def mac(self, data):
        out = bytes(16)
        for i in range(0, len(data), 16):
            out = self.block(bytes(a ^ b for a, b in zip(out, data[i:i + 16])))
        return out


def _number(digits, radix):
    out = 0
    for digit in digits:
        out = out * radix + digit
    return out


def _digits(number, radix, length):
    out = []
    for _ in range(length):
        number, digit = divmod(number, radix)
        out.append(digit)
    return out[::-1]


def ff1(key, radix, tweak, digits, back=False):
    """FF1 over numerals; `back` decrypts."""
    aes, n = Aes(key), len(digits)
    u, v = n // 2, n - n // 2
    a, b = list(digits[:u]), list(digits[u:])
    size = -(-(radix ** v - 1).bit_length() // 8)
    d = 4 * -(-size // 4) + 4
    p = bytes([1, 2, 1]) + radix.to_bytes(3, "big") + bytes([10, u % 256]) + n.to_bytes(4, "big") + len(tweak).to_bytes(4, "big")
    for i in reversed(range(10)) if back else range(10):
        q = tweak + bytes((-len(tweak) - size - 1) % 16) + bytes([i]) + _number(a if back else b, radix).to_bytes(size, "big")
        r = aes.mac(p + q)
        s = r + b"".join(aes.block(bytes(x ^ y for x, y in zip(r, j.to_bytes(16, "big")))) for j in range(1, -(-d // 16)))
        y = int.from_bytes(s[:d], "big")
        m = u if i % 2 == 0 else v
        if back:
            a, b = _digits((_number(b, radix) - y) % radix ** m, radix, m), a
        else:
            a, b = b, _digits((_number(a, radix) + y) % radix ** m, radix, m)
    return a + b


def luhn_valid(digits):
    return sum(d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits))) % 10 == 0


def card(master, text, keep_last=4):
    """A card number by FF1: the last digits stay and are the tweak, the digit before them makes the number invalid exactly
    if it was valid (`luhn: break`), the others are encrypted."""
    digits = [int(c) for c in text if c.isdigit()]
    at = len(digits) - keep_last - 1

    def right(body):
        return next(d for d in range(10) if luhn_valid(body[:at] + [d] + body[at + 1:]))
    off = (digits[at] - right(digits)) % 10
    tail = digits[at + 1:]
    out = ff1(derived(master, "ff1|card|k1"), 10, "".join(map(str, tail)).encode(), digits[:at]) + [0] + tail
    out[at] = (right(out) + (1 - off if off < 2 else off)) % 10
    rest = iter(out)
    return "".join(str(next(rest)) if c.isdigit() else c for c in text)
