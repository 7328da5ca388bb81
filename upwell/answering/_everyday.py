"""What everyday Chinese words mean where a dictionary's first senses mislead ("要": to demand); particles are nothing.

Made by hand: words of function, and those among the thousand commonest of Chinese reviews whose gloss was wrong.
"""

EVERYDAY = """
我 I|你 you|您 you|他 he|她 she|它 it|我们 we|咱们 we|你们 you|他们 they|她们 they|自己 own|别人 others|谁 who
人 person|这 this|那 that|这个 this|那个 that|这些 these|那些 those|这里 here|那里 there|这儿 here|那儿 there|这么 so
那么 so|哪 which|哪个 which|哪些 which|哪里 where|哪儿 where|在哪 where|什么 what|啥 what|为什么 why|为何 why|怎么 how
怎样 how|怎么样 how about|咋 how|如何 how|怎么办 what to do|会怎么样 what happens|多少 how much|多少钱 how much money
几 how many|多久 how long|多长时间 how long|几点 what time|几天 how many days|什么时候 when|啥时候 when|何时 when
有没有 is there|是 is|不是 is not|是不是 is it|是否 whether|有 have|没 not|没有 not have|不 not|别 do not|无法 cannot
不能 cannot|不会 cannot|要 want|想 want|要不要 need|不要 do not want|不用 no need|需要 need|必须 must|得 must
应该 should|能 can|能不能 can|能否 can|可以 can|可不可以 can|可否 can|会 will|用 use|让 let|给 give|对 to|向 to|为 for
在 at|和 and|跟 with|与 and|或 or|或者 or|还是 or|还 still|也 also|都 all|就 then|才 only|再 again|又 again
已经 already|刚 just|刚刚 just|一直 always|从 from|到 to|因为 because|所以 so|如果 if|要是 if|但 but|但是 but|可是 but
可 but|比 than|很 very|太 too|最 most|更 more|多 more|少 few|大 big|小 small|好 good|新 new|旧 old|快 fast|慢 slow
早 early|晚 late|晚了 late|高 high|低 low|贵 expensive|便宜 cheap|一 one|一个 a|一些 some|一点 a little|两 two|次 time
度 degree|号 number|种 kind|样 kind|块 yuan|元 yuan|点 point|里 in|里面 inside|外 outside|外面 outside|上 on|下 below
前 before|后 after|以前 before|以后 after|之前 before|之后 after|时候 when|时间 time|今天 today|明天 tomorrow
昨天 yesterday|现在 now|年 year|月 month|天 day|小时 hour|分钟 minute|钱 money|东西 thing|事 matter|地方 place|家 home
孩子 child|小孩 child|卡 card|证 card|票 ticket|单 form|店 shop|门 door|办 get|做 do|弄 do|搞 do|打 do|打电话 phone
电话 phone|买 buy|卖 sell|看 look|看到 see|说 say|问 ask|知道 know|觉得 think|喜欢 like|找 find|开 open|关 close
开门 open|关门 close|拿 take|放 put|写 write|读 read|学 learn|住 live|吃 eat|喝 drink|坐 sit|走 walk|去 go|来 come
等 wait|排队 queue|换 change|改 change|加 add|减 reduce|算 count|完 finished|带 bring|穿 wear|坏 broken|坏了 broken
修 repair|丢 lose|丢了 lost|怕 afraid|发 send|寄 mail|收 receive|收到 receive|收费 charge a fee|取 pick up|交 pay
付 pay|花 spend|借 borrow|退 return|行 OK|行吗 OK|请 please|谢谢 thanks|超期 overdue|发货 ship|其实 actually
其他 other|大家 everyone|人家 others|宝宝 baby|客人 guest|客 guest|前台 reception|客服 customer service|酒店 hotel
房 room|房间 room|楼 floor|书 book|字 word|语 language|话 words|故事 story|车 vehicle|机 machine|手机 mobile phone
包 bag|网 internet|网上 online|线 line|路 road|瓶 bottle|货 goods|价 price|费 fee|券 voucher|头 head|声音 sound
味 smell|气味 smell|山 mountain|星 star|日 day|时 when|岁 years old|米 meter|东 east|过去 past|后来 later|先 first
最后 finally|直接 directly|马上 at once|老 old|长 long|久 long|热 hot|重 heavy|深 deep|远 far|近 near|满 full|空 empty
够 enough|同 same|错 wrong|差 poor|极差 very bad|烂 rotten|破 broken|一般 so-so|不行 not OK|挺 quite|较 more
根本 at all|连 even|像 like|象 like|如 as|所有 all|将 will|已 already|未 not yet|无 no|该 should|应 should|此 this
某 some|每 each|些 some|只 only|不过 but|而 and|及 and|且 and|并 and|以及 and|于 at|以 with|按 according to|离 from
当 when|内 in|中 in|中的 in|小的 small|吃的 food|叫 call|听 listen|见 see|出 out|进 enter|入 enter|回 return
过来 come over|出来 come out|下去 down|到了 arrived|成 become|变 become|使 make|帮 help|告诉 tell|查 check|试 try
选 choose|接 pick up|送 deliver|拉 pull|提 carry|转 transfer|掉 off|订 book|定 book|预定 book|预订 book|再也 no more
不想 do not want|完了 finished|默认 default|退货 return goods|退款 refund|快递 delivery|物流 delivery|包裹 parcel
寄回 send back|换货 exchange|密码 password|账号 account|账户 account|登录 log in|的|地|了|着|过|得了|么|吗|呢|吧|啊|呀
嘛|哦|啦|呵呵|把|被|个|件|张|本|台|辆|份|条|部|位|名|第|们|所|者|之|其|就是|是的|一下|的话|请问|起来|不了|得很|而已
似的|面|性|子|正|生|起
"""
