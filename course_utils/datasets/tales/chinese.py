"""How the world's events are told in Chinese, one sentence each, with measure words and 里, 上, 边 for
places."""

from course_utils.datasets.tales import world

SENTENCES = {
    "alone": "一个 {weather} {time} ， {who} 在 {at} 。",
    "together": "一个 {weather} {time} ， {who} 和 {other} 在 {at} 。",
    "has": "{who} 有 {one} {look} {thing} ， {word} 。",
    "wants": "{who} 想要 {one} {look} {thing} 。",
    "goes": "{who} 去了 {place} 。",
    "comes": "{who} 来到了 {place} 。",
    "brings": "{who} 带着 {one} {look} {thing} 来到了 {place} 。",
    "brings_wanted": "{who} 带着 {other} 想要 的 {thing} 来到了 {place} 。",
    "gets": "{who} 终于 得到了 {thing} 。",
    "searches": "{who} 到处 都 找不到 {thing} 。",
    "discovers": "{who} 发现了 {one} {look} {thing} 。",
    "buys": "{who} 买了 {one} {look} {thing} 。",
    "gives": "{who} 把 {thing} 送给了 {other} 。",
    "takes": "{who} 从 {other} 那里 {away} {thing} 。",
    "shows": "{who} 给 {other} 看了看 {thing} 。",
    "loses": "{who} 弄丢了 {thing} 。",
    "runs": "{thing} 从 {who} 身边 跑掉了 。",
    "picks": "{who} 捡起了 {thing} 。",
    "catches": "{who} 捉住了 {thing} 。",
    "leaves": "{who} 把 {thing} 留在了 {at} 。",
    "breaks": "{who} 弄坏了 {thing} 。",
    "repairs": "{who} 修好了 {thing} 。",
    "eats": "{who} 吃掉了 {thing} 。",
    "does": "{who} {word} {other} {after} 。",
    "gets_wet": "天 下起了 雨 ， {who} 被 淋湿了 。",
    "stays_dry": "天 下起了 雨 ， 但是 {who} 有 {thing} 。",
    "passes_time": "{who} {word} 。",
    "reacts": "{who} {word} 。",
}


def _lexicon(text):
    """`"cat 猫 只, dog 狗 只"` becomes `{"cat": ("猫", "只"), ...}`."""
    return {english: tuple(rest) for english, *rest in (entry.split() for entry in text.split(","))}


NAMES = _lexicon("""anna 安娜, tom 汤姆, lucy 露西, jack 杰克, mary 玛丽, david 大卫, emma 艾玛, peter 彼得,
alice 爱丽丝, john 约翰, linda 琳达, mike 迈克, sara 萨拉, paul 保罗, nina 妮娜, leo 利奥, kate 凯特, sam 山姆,
rosa 罗莎, max 马克斯, julia 朱莉娅, oscar 奥斯卡, diana 黛安娜, henry 亨利, eva 伊娃, frank 弗兰克,
grace 格蕾丝, simon 西蒙, helen 海伦, adam 亚当, irene 艾琳, victor 维克多, laura 劳拉, felix 菲利克斯,
carol 卡罗尔, robert 罗伯特, sophie 苏菲, martin 马丁, jenny 珍妮, daniel 丹尼尔, amy 艾米, bill 比尔,
ella 埃拉, george 乔治""")

PLACES = _lexicon("""park 公园 里, garden 花园 里, beach 海滩 上, bridge 大桥 上, forest 森林 里, farm 农场 里,
lake 湖边, river 河边, square 广场 上, playground 操场 上, zoo 动物园 里, harbor 港口, village 村子 里,
island 小岛 上, valley 山谷 里, field 田野 里, market 市场 里, orchard 果园 里, meadow 草地 上,
stadium 体育场 里, school 学校 里, library 图书馆 里, kitchen 厨房 里, museum 博物馆 里, hospital 医院 里,
bakery 面包店 里, cafe 咖啡馆 里, bookstore 书店 里, hotel 酒店 里, restaurant 餐馆 里, shop 商店 里,
office 办公室 里, classroom 教室 里, cinema 电影院 里, theater 剧院 里, gym 体育馆 里, station 车站,
airport 机场 里, bank 银行 里, castle 城堡 里, garage 车库 里, attic 阁楼 里, basement 地下室 里,
church 教堂 里, factory 工厂 里, supermarket 超市 里, mall 商场 里""")

THINGS = _lexicon("""kite 风筝 只, doll 娃娃 个, umbrella 雨伞 把, lamp 台灯 盏, clock 闹钟 个, watch 手表 块,
guitar 吉他 把, violin 小提琴 把, drum 鼓 面, flute 笛子 支, camera 相机 台, radio 收音机 台, phone 手机 部,
robot 机器人 个, box 盒子 个, basket 篮子 个, mirror 镜子 面, lantern 灯笼 盏, ball 球 个, book 书 本,
hat 帽子 顶, scarf 围巾 条, coat 外套 件, raincoat 雨衣 件, bag 背包 个, cup 杯子 个, plate 盘子 个,
vase 花瓶 个, ring 戒指 枚, necklace 项链 条, key 钥匙 把, pen 钢笔 支, pencil 铅笔 支, brush 刷子 把,
map 地图 张, letter 信 封, photo 照片 张, painting 画 幅, ticket 票 张, postcard 明信片 张, bottle 瓶子 个,
candle 蜡烛 支, blanket 毯子 条, pillow 枕头 个, shirt 衬衫 件, dress 裙子 条, belt 腰带 条, balloon 气球 个,
flower 花 朵, stone 石头 块, shell 贝壳 枚, coin 硬币 枚, apple 苹果 个, pear 梨 个, peach 桃子 个,
banana 香蕉 根, lemon 柠檬 个, egg 鸡蛋 个, cake 蛋糕 块, cookie 饼干 块, sandwich 三明治 个, tomato 西红柿 个,
carrot 胡萝卜 根, mango 芒果 个, cat 猫 只, dog 狗 只, rabbit 兔子 只, bird 小鸟 只, duck 鸭子 只,
turtle 乌龟 只, parrot 鹦鹉 只, hamster 仓鼠 只""")

OTHERS = _lexicon("""red 红色的, blue 蓝色的, green 绿色的, yellow 黄色的, black 黑色的, white 白色的,
purple 紫色的, pink 粉色的, brown 棕色的, gray 灰色的, fresh 新鲜的, tasty 美味的, big 大大的, small 小小的,
cheap 便宜的, special 特别的, nice 不错的, strange 奇怪的, fat 胖胖的, lively 活泼的, rainy 下雨的,
stormy 暴风雨的, snowy 下雪的, clear 晴朗的, windy 刮风的, cloudy 多云的, foggy 大雾的, hot 炎热的, cold 寒冷的,
cool 凉爽的, warm 温暖的, quiet 宁静的, morning 早晨, afternoon 下午, evening 傍晚, night 夜晚, monday 星期一,
tuesday 星期二, wednesday 星期三, thursday 星期四, friday 星期五, saturday 星期六, sunday 星期天""")

PHRASES = {
    "and loves it": "特别 喜欢 它",
    "and likes it a lot": "非常 喜欢 它",
    "and needs it": "很 需要 它",
    "but does not care about it": "但 不 在乎 它",
    "but does not need it": "但 不 需要 它",
    "but does not like it": "但 不 喜欢 它",
    "but is tired of it": "但 已经 厌倦了 它",
    "but hates it": "但 很 讨厌 它",
    "is happy": "很 快乐",
    "is glad": "很 高兴",
    "smiles": "笑了",
    "jumps for joy": "高兴 得 跳了起来",
    "sings a song": "唱了 一首 歌",
    "feels great": "感觉 好极了",
    "does not mind": "并 不 介意",
    "shrugs": "耸了耸肩",
    "stays calm": "很 平静",
    "says nothing": "什么 也 没 说",
    "nods": "点了点头",
    "is sad": "很 难过",
    "is upset": "很 沮丧",
    "cries": "哭了",
    "sighs": "叹了 一口气",
    "is angry": "很 生气",
    "feels terrible": "感觉 糟透了",
    "sits down": "坐了下来",
    "looks around": "看了看 四周",
    "drinks some water": "喝了 一些 水",
    "takes a rest": "休息了 一会儿",
    "waits for a while": "等了 一会儿",
    "takes a walk": "散了散步",
    "makes a call": "打了 一个 电话",
    "tells a joke": "讲了 一个 笑话",
    "yawns": "打了 一个 哈欠",
    "sneezes": "打了 一个 喷嚏",
}
DEEDS = {  # what stands before and after the other person
    "praises": ("表扬了", ""),
    "thanks": ("感谢了", ""),
    "hugs": ("拥抱了", ""),
    "helps": ("帮助了", ""),
    "encourages": ("鼓励了", ""),
    "greets": ("跟", "打了 招呼"),
    "talks with": ("跟", "聊了 一会儿"),
    "waves to": ("向", "挥了挥手"),
    "looks at": ("看了看", ""),
    "sits next to": ("坐在了", "旁边"),
    "walks past": ("从", "身边 走过"),
    "scolds": ("责骂了", ""),
    "laughs at": ("嘲笑了", ""),
    "shouts at": ("对", "大喊大叫"),
    "pushes": ("推了", "一下"),
    "lies to": ("骗了", ""),
}


def slots(event):
    """The Chinese for everything an event names, by slot."""
    found = {"who": NAMES[event.who][0]}
    if event.other:
        found["other"] = NAMES[event.other][0]
    if event.place:
        found["place"], found["at"] = PLACES[event.place][0], " ".join(PLACES[event.place])
    if event.thing:
        found["thing"], measure = THINGS[event.thing]
        found["one"] = "一" + measure
        found["away"] = "带走了" if event.thing in world.ANIMALS else "拿走了"
    for name in ("look", "weather", "time"):
        if getattr(event, name):
            found[name] = OTHERS[getattr(event, name)][0]
    if event.kind == "does":
        found["word"], found["after"] = DEEDS[event.word]
    elif event.word:
        found["word"] = PHRASES[event.word]
    return found


def sentence(event):
    """Tells one event, as a list of tokens."""
    return SENTENCES[event.kind].format_map(slots(event)).split()


def words():
    """Every Chinese word of the stories, in a fixed order."""
    tables = (entry for table in (NAMES, PLACES, OTHERS, DEEDS) for entry in table.values())
    phrases = [
        *(p for entry in tables for p in entry),
        *(name for name, _ in THINGS.values()),
        *("一" + measure for _, measure in THINGS.values()),
        *PHRASES.values(),
        "拿走了 带走了",
        *SENTENCES.values(),
    ]
    return [w for phrase in phrases for w in phrase.split() if "{" not in w]
