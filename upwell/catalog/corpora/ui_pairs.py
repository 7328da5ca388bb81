"""Translated texts of program interfaces."""

from upwell.catalog import Entry, Part
from upwell.catalog.corpora._messages import messages

ENTRY = Entry(
    "ui-pairs",
    "translated texts of program interfaces: software sentences and nothing wider",
    "Horizon Apache-2.0; JupyterLab, Wagtail and Django BSD-3-Clause.",
    {
        "zh": Part(
            ("horizon==27.0.0", "jupyterlab-language-pack-zh-CN==4.5.post3", "wagtail==8.0.1", "Django==5.2.19"),
            r".*zh_(Hans|CN)/LC_MESSAGES/.*\.mo|(horizon|openstack_\w+)/.*zh_Hans/LC_MESSAGES/.*\.po",
            "7b535f0afc81967f3b4b5ce2847e3c68a2fbc65796a6e821dc0aa980746e29d7",
            messages,
            "8,229 short texts in simplified Chinese with their English, 0.1 million characters",
        )
    },
)
