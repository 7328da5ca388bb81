"""What a Chinese sentence or heading asks for, in simplified and traditional characters; "" where no rule is sure.

    defined("水泵是一种输送液体的机械。")      -> "水泵是什么？"
    numbered("安装需要30分钟。")               -> "安装需要多长时间？"
    headed("申请退款")                         -> "如何申请退款？"

Sentences and headings come without markup, in one line. Every pattern is tried at the beginning of the text alone, and
its repetitions are bounded.
"""

import re
from collections.abc import Callable

HAN = re.compile("[\u3400-\u9fff]")
WHAT = r"(?P<s>[^，。！？；：、（）()“”\s]{2,20}?)"
KIND = r"[一由用基以](?:[^，。]{0,3}[种種个個款項项類类門门套台份座位]|[^，。]{2})"
SAYS = re.compile(rf"{WHAT}(?:是指|指的是|是(?={KIND}))")
POINTING = tuple(
    "这 這 那 它 他 她 我 你 您 其 如 因 但 若 该 該 本 此 所 只 就 也 都 不 有 当 當 而 可 还 還 另 以 在 从 "
    "從 对 對 和 与 與 或 每 某 同 由 并 並 会 會".split()
)
VAGUE = frozenset(
    "简介 簡介 概述 介绍 介紹 说明 說明 目录 目錄 总结 總結 附录 附錄 参考 參考 示例 例子 其他 前言 背景 注意 "
    "备注".split()
)
VERBS = tuple(
    "安装 安裝 使用 创建 創建 建立 添加 删除 刪除 修改 设置 設置 設定 配置 查看 更新 升级 升級 下载 下載 上传 "
    "上傳 导出 導出 导入 導入 申请 申請 退货 退貨 退款 注册 註冊 登录 登入 连接 連接 选择 選擇 启动 啟動 停止 "
    "打开 打開 关闭 關閉 保存 运行 運行 训练 訓練 测量 測量 准备 準備 取消 购买 購買 支付 查询 查詢 提交 联系 "
    "聯繫 更换 更換 恢复 恢復 评估 翻译 翻譯".split()
)
ASKING = ("如何", "怎么", "怎麼", "怎样", "怎樣", "为什么", "為什麼", "什么", "什麼")

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
DATE = re.compile(r"((?:1[5-9]|20)\d\d年)(?:\d{1,2}月)?(?:\d{1,2}[日号號])?")
N = r"\d{1,3}(?:[.,]?\d{1,3}){0,4}"
ABOUT = r"(?:大约|大約|约|約|最多|至少)?"
NEEDS = r"(?:需要|需|要|用时|用時|耗时|耗時|历时|歷時|为期|為期)"
SPAN = r"(?:个半|個半|半|个|個)?(?:毫秒|秒|分钟|分鐘|小时|小時|工作日|天|日|周|週|星期|月|年)"
MEASURE = (
    "(?:价格|售价|费用|运费|重量|长度|宽度|高度|容量|有效期|保修期|上限|下限|面积|"
    "價格|售價|費用|運費|長度|寬度|高度|保固期|面積)"
)
BEGUN = "(?:成立|发布|發布|建立|开业|開業|上线|上線|推出|创立|創立|创办|創辦|出版|修订|修訂)"
COUNTED = "[个個种種名家条條页頁款项項台篇张張位所门門座]"
RULES: tuple[tuple[re.Pattern, Callable[[re.Match], str]], ...] = (
    (re.compile(rf"{WHAT}(?:一般|通常)?{ABOUT}{NEEDS}{ABOUT}{N}{SPAN}"), lambda m: f"{m['s']}需要多长时间？"),
    (re.compile(rf"(?P<s>(?:[^，。！？；：、\s]{{2,16}}?)?)的?(?P<o>{MEASURE})(?:为|為|是|：)[^，。\d]{{0,4}}{N}"),
     lambda m: f"{m['s'] + '的' if m['s'] else ''}{m['o']}是多少？"),
    (re.compile(rf"{WHAT}[于於在]?(?:1[5-9]|20)\d\d年(?P<o>{BEGUN})"), lambda m: f"{m['s']}是什么时候{m['o']}的？"),
    (re.compile(rf"{WHAT}(?:共有|共|有|包含|包括|支持|提供){N}(?P<c>{COUNTED})(?P<o>[^，。！？；：、\s\d的]{{1,8}})"),
     lambda m: f"{m['s']}有多少{m['c']}{m['o']}？"),
)  # fmt: skip


def chinese(text: str) -> bool:
    """Whether most of its letters are Chinese characters."""
    return 2 * len(HAN.findall(text)) >= sum(character.isalpha() for character in text) > 0


def defined(sentence: str) -> str:
    """The question that a definition answers."""
    match = SAYS.match(sentence)
    return f"{match['s']}是什么？" if match and not match["s"].startswith(POINTING) else ""


def numbered(sentence: str) -> str:
    """The question that the one number of a sentence answers; year, month and day are one."""
    sentence = DATE.sub(r"\1", sentence)
    if len(NUMBER.findall(sentence)) != 1:
        return ""
    for pattern, question in RULES:
        match = pattern.match(sentence)
        if match and not match["s"].startswith(POINTING):
            return question(match)
    return ""


def headed(heading: str, above: str = "") -> str:
    """The question that what stands below a heading answers. above: the heading over it, which a short one needs."""
    if heading in VAGUE:
        return ""
    if heading.startswith(ASKING):
        return f"{heading}？"
    if heading.startswith(VERBS) and len(heading) > 2:
        return f"如何{heading}？"
    within = f"{above}的" if len(heading) <= 3 and chinese(above) and above not in VAGUE else ""
    return f"关于{within}{heading}，应该知道什么？"
