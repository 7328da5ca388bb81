"""What customers ask about, in their many words: `topics(text)` -> the numbers of the topics that a text touches.

A list made by hand of what any shop, office or service is asked: costs, hours, parcels, refunds. "What is the fee?" and
"how much do you charge" share a topic and no word. English and Chinese words for one thing stand in one line.
"""

import re
import unicodedata

TOPICS = tuple(re.compile(one) for one in (
    r"\b(?:pric|cost|fees?\b|charg|how much|expensive|cheap|tariff)|多少钱|费用|价格|收费|要钱|贵|几块|价钱|花钱|免费",
    r"\b(?:open|hours\b|clos(?:e|ed|ing)\b)|几点|营业|开门|关门|上班|下班|开放",
    r"\b(?:deliver|ship|parcel|package\b|courier|dispatch)|快递|物流|包裹|发货|送货|配送|派送|运费|到货|签收|送到",
    r"\b(?:return|refund|send (?:it )?back|money back|give (?:it )?back)|退货|退款|退钱|退回|退掉|寄回|不想要",
    r"\b(?:cancel|terminat|quit\b|get out of|notice period|call off)|取消|退订|解约|终止|撤销|不想用|退掉",
    r"\bhow (?:long|soon|many days)|\bwhen (?:will|does|do|is|can)\b|多久|几天|多长时间|什么时候|何时|啥时候",
    r"\b(?:late\b|delay|overdue|still waiting|not (?:yet )?(?:here|arrived|come))|没到|迟到|超期|逾期|晚了|还没|延误",
    r"\b(?:broke|broken|damag|defect|fault|not working|does ?n.?t work|dead\b)|坏|故障|破损|不能用|用不了|失灵|毛病",
    r"\b(?:repair|fix|mend|maint)|修|保养|检查",
    r"\b(?:warrant|guarant)|质保|保修|三包|包换",
    r"\b(?:account|profile|log ?in|sign(?:ed)? (?:in|up)|regist)|账号|账户|帐号|登录|登陆|注册",
    r"\b(?:passw|passcode|forgot)|密码|口令|忘记|忘了",
    r"\b(?:pay|paid\b|payment|visa\b|mastercard|paypal|credit card|debit|transfer)|支付|付款|付钱|刷卡|微信|转账|"
    r"信用卡|缴费|交费",
    r"\b(?:bill\b|bills\b|invoice|receipt)|发票|账单|收据|开票",
    r"\b(?:discount|cheaper|reduc|coupon|voucher|promo|less\b)|优惠|打折|折扣|便宜|半价|券|满减|学生证",
    r"\b(?:child|kid|bab(?:y|ies)|sons?\b|daughter|toddler)|孩子|小孩|儿童|宝宝|娃",
    r"\b(?:mov(?:e|ing)\b|new address|relocat|address)|搬家|地址|搬到|迁",
    r"\b(?:los[te]|missing|can.?not find|ca ?n.?t find|gone\b)|丢|找不到|不见了|遗失",
    r"\b(?:stole|theft|thie[fv]|steal)|偷|盗",
    r"\b(?:contact|phone|call|e-?mail|reach|hotline|talk|speak)|客服|电话|联系|人工|邮箱",
    r"\b(?:where\b|locat|direction|branch)|在哪|怎么走|位置|怎么去|哪里|门店",
    r"\b(?:appointment|book(?:ing|ed)?\b|reserv|slot)|预约|预订|预定|排队|订",
    r"\b(?:chang|modif|edit\b|switch|exchang|swap)|更换|调换|换|修改|改",
    r"\b(?:abroad|international|foreign|overseas|countr)|国外|海外|境外|外国|港澳台|国际",
    r"\b(?:job|vacanc|career|apply\b|hiring|internship)|招聘|招人|应聘|岗位|实习|招",
    r"\b(?:privacy|personal|gdpr|data\b|delete)|隐私|个人信息|数据|注销|删除",
    r"\b(?:member|club|join|subscri|newsletter)|会员|积分|入会|订阅",
    r"\b(?:gift|present\b)|礼品|礼物|送人|礼券",
    r"\b(?:insur|accident|liab)|保险|理赔|事故",
    r"\b(?:size|fits?\b|tall\b|measur)|尺码|尺寸|大小|身高|合适",
    r"\b(?:rent|hire\b|lend|borrow|loan)|租|借",
    r"\b(?:second.?hand|used\b|pre.?owned|trade.?in|old one)|二手|旧|以旧换新|回收",
    r"\b(?:stock|availab|sold out)|有货|现货|缺货|断货|补货|库存",
    r"\b(?:track|status|where is my)|查询|进度|到哪",
    r"\b(?:wheelchair|accessib|disab|step.?free)|轮椅|无障碍|残疾|电梯",
    r"\b(?:parking|car park|park my)|停车|车位",
    r"\b(?:compan(?:y|ies)|business|corporate|employ)|公司|企业|单位|员工|团购",
    r"\b(?:complain|unhappy|review|feedback)|投诉|差评|不满意|反馈|意见",
    r"\b(?:wrong|mistake|not what i)|发错|错了|弄错|少了|漏",
))  # fmt: skip


def topics(text: str) -> list[int]:
    """The topics of a text, in their order."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [number for number, one in enumerate(TOPICS) if one.search(plain)]
