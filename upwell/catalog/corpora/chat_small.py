"""Short conversations in many languages."""

from collections.abc import Iterator

import yaml

from upwell.catalog import Entry, Files, Part, Record

PACKAGE = ("chatterbot-corpus==1.3.3",)


def chats(files: Files) -> Iterator[Record]:
    """Each conversation once, its turns by user and assistant; title: the file, label: the language's folder."""
    seen = set()
    for name in sorted(files):
        folder, document = name.removesuffix(".yml").split("/")[-2:]
        for turns in yaml.safe_load(files[name].decode("utf-8")).get("conversations") or ():
            said = tuple(text for turn in turns if (text := str(turn).strip()))
            said = said[: len(said) // 2 * 2]
            if said and said not in seen:
                seen.add(said)
                messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
                yield {"messages": messages, "title": document, "label": folder}


def _part(folder: str, sha256: str, count: int) -> Part:
    return Part(PACKAGE, rf"chatterbot_corpus/data/{folder}/\w+\.yml", sha256, chats, f"{count:,} conversations")


PARTS = {  # folder, SHA-256 of its files, conversations
    "en": ("english", "8d43897a47cdb00447970b994008429aec2f89e092aa4aa62a6b9320bf069a3b", 899),
    "zh": ("chinese", "95874489026f9e758afc5d093297df82b1fe29ab73c23bd0e3979ed6b045998d", 465),
    "zh-hant": ("traditionalchinese", "0c6543d129cb6c999d39df93b85a27c2a75520458c94333bf0efa0013abe3dc5", 454),
    "de": ("german", "8c6f77eaf717a2edad98979414f2ef532864d926fc672f6bc535b6f4a8504722", 113),
    "fr": ("french", "2422abc360288032bd111b5fea2794ab1b0ba16fb0d6045f75f94f0df499be46", 88),
    "es": ("spanish", "126dbb15bde94827b332d71e12b7d2bfbf8ea3eba1ff5ec39e213195caf03f3b", 278),
    "it": ("italian", "f08f4f36ebf8d27fab43777c68ad96b6055bdabaefab06b34860346c34aaf83f", 559),
    "ja": ("japanese", "a21a7c18f27eb965507f42a73a95c423ceee5f1b273154825e36dc42ffa82a53", 566),
    "ko": ("korean", "badb6966226a2f85a7180a3773dc9a45e72befef81f0fbdb2ca1b2b67b09bb71", 454),
    "uk": ("ukrainian", "50e87235a2a0d9fab8284b5689da7a62fa9748337d00a41c5f5fbc911daf6754", 462),
    "fa": ("persian", "fcea7edcda76536e186daa7d8fe53d5cde88ecf5a2565c5194a95ff2c949fad8", 773),
    "nl": ("dutch", "f70ebad69902d068b40be75e8c0591522ba97f6cc2a436fc4cc0285aca95c878", 313),
    "pt": ("portuguese", "7f7de5dcd22c39b253b1844e97829c86bbefb44fc06bb9e8efe88cf9b5cd4a81", 319),
    "tr": ("turkish", "f280bbc62a198314e68fe88ff030a28389019c1925304446ff886c2bf3f7821c", 92),
    "bn": ("bengali", "84bc5967581d4097acb457469060cc76e7b5afe49fb031ebb711e52e29f0c37b", 113),
    "sv": ("swedish", "ee653a2eebdb38e103524603160af7b7370a9290e229dbbfb317140ad8926ee3", 43),
    "id": ("indonesian", "1db1212bf27e0da01d3351fd51cb5fc9d17b7db50b9108315c1a6db9594fb6e5", 163),
    "he": ("hebrew", "cf1a30ecd17a9c397906068e40f34fbb3589d6311a8f590ed3cde57c4618e9f8", 49),
    "hi": ("hindi", "e43505076fafac4246ea66ce76ce260cbd0469d79d151f76eaa654a24f53fbef", 29),
    "or": ("oriya", "bbbd13a0f3d0e28ee11e2283d0b41bc6798e9458c017119cb14cb71c7b5b04a9", 39),
    "ru": ("russian", "8e631469696599cc3c0203ba03c78505b5435d3e581c1c781f73a9dd98dff35c", 43),
    "mr": ("marathi", "e0433fa5d24972668a9f4693369f0e62430e3a0411abd44331a221329bb7107a", 32),
    "ta": ("tamil", "bb99546750aa2ae66f9c4e1a891659079432a1790560d3a0ca82a9601667c26a", 30),
    "hinglish": ("hinglish", "6caf51cbb1e66bc4536672a39ce57664f411291d6a2c5ad0e5d1a404d0d71704", 31),
    "te": ("telugu", "59c4be3519c9c9baa6ab41198dbf4fdcab5337ac0d6cb2369fe5773e2a294637", 9),
    "th": ("thai", "291c089581271373ea814b890a6f6ee26a81c4aa610e5d7666e4b7996b8ce096", 6),
    "ur": ("urdu", "fd38ce3a27bac6aef24b41ace611c135dd83cc61b2e12d3e31b4d9cd22ecbfe1", 14),
    "yo": ("yoruba", "727c6aabf20ff31728f2d514befb0c55e2ea1ac5e9b507bd69bc5035ff75497f", 31),
}

ENTRY = Entry(
    "chat-small",
    "short conversations: messages",
    "BSD 3-Clause, with the package chatterbot-corpus.",
    {code: _part(*known) for code, known in PARTS.items()},
)
