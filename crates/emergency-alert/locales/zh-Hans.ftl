# 警报中供人阅读的文字，简体中文。语法为 Fluent：https://projectfluent.org/fluent/guide/
#
# 可以随意修改文字，然后重新构建；如有缺失，测试会指出。$ 后面的名称会被填入：
#   $known    已知所拨号码时为 yes，否则为 no
#   $number   所拨的号码，或回拨号码
#   $duration 一段时间，由 duration-... 消息表述
#
# 邮件主题只能用 ASCII 字符，因此使用 en.ftl 中的文字。

## 主题、短信和演练的每一行前面的标记

tag-drill = 演练
tag-test = 测试
tag-unverified = 未核实
tag-unverified-short = 未核实
# $what 为 place（位置）、caller（呼叫者）或 both（两者）。
tag-now-verified = 现已核实
tag-differs =
    { $what ->
        [place] 位置不同
        [caller] 呼叫者不同
       *[both] 位置和呼叫者不同
    }
tag-updated =
    { $what ->
        [place] 位置已更新
        [caller] 呼叫者已更新
       *[both] 位置和呼叫者已更新
    }
tag-other-report = 另报位置或呼叫者，以已核实的为准
tag-late = 延迟
tag-late-by = 延迟{ $duration }

## 发生了什么，尽量简短：短信、聊天

call =
    { $known ->
        [yes] 呼叫 { $number }
       *[no] 紧急呼叫
    }
short-started = { call }
short-started-ended = { call }，已结束
short-started-ended-at = { call }，已于 { $time } 结束
short-ended = { call } 已结束
short-ended-after = { call } 已结束，历时{ $duration }
short-event = { call }，事件“{ $kind }”
short-unknown-event = { call }，未知事件
short-unreadable = 紧急呼叫，无法读取详细信息
short-drill = 演练，并非真实呼叫

## 发生了什么，一句话

headline-started =
    { $known ->
        [yes] 有人在 Microsoft Teams 中拨打了 { $number }。
       *[no] 有人在 Microsoft Teams 中拨打了紧急号码。
    }
headline-started-ended = { headline-started }该呼叫已结束。
headline-started-ended-at = { headline-started }该呼叫已于 { $time } 结束。
headline-ended =
    { $known ->
        [yes] Microsoft Teams 中拨打 { $number } 的呼叫已结束。
       *[no] Microsoft Teams 中的紧急呼叫已结束。
    }
headline-ended-after =
    { $known ->
        [yes] Microsoft Teams 中拨打 { $number } 的呼叫已结束，历时{ $duration }。
       *[no] Microsoft Teams 中的紧急呼叫已结束，历时{ $duration }。
    }
headline-event =
    { $known ->
        [yes] Microsoft Teams 就拨打 { $number } 的呼叫报告了“{ $kind }”。本系统不了解此事件的含义。
       *[no] Microsoft Teams 就一次紧急呼叫报告了“{ $kind }”。本系统不了解此事件的含义。
    }
headline-unknown-event =
    { $known ->
        [yes] Microsoft Teams 就拨打 { $number } 的呼叫报告了一个未说明类型的事件。
       *[no] Microsoft Teams 就一次紧急呼叫报告了一个未说明类型的事件。
    }
headline-unreadable = 有人（策略 { $policy }）拨打了紧急电话；无法读取详细信息。
headline-drill = 这是一次演练。没有人拨打紧急电话。

## 标签

label-caller = 呼叫者
label-account = 帐户
label-callback = 回拨号码
label-international = 国际格式
label-dialled = 所拨号码
label-location = 位置
label-coordinates = 坐标
label-time = 时间
label-started = 开始
label-ended = 结束
label-duration = 历时
label-received = 收到
label-policy = 策略
label-tenant = 租户
label-call = 呼叫 ID
labelled = { $label }：{ $value }

## 详细信息

unknown-caller = 呼叫者不明
call-back = 回拨 { $number }
no-callback = 无回拨号码
confirm = 请按真实呼叫处置，并用您已有的号码核实
no-location = 无位置信息
not-given = 未提供
not-readable = 无法读取
under-policy = 策略 { $policy }
county = 区/县：{ $county }
house = 门牌号 { $number }
# 楼层或房间只有号码而没有文字时，放在其前面。
unit = 楼层/房间 { $unit }

## 警告

warning-drill = 演练：此消息用于测试警报的传送路径。只需记录已收到，无需采取其他行动。
warning-test =
    { $known ->
        [yes] 测试：{ $number } 是测试号码。
       *[no] 测试：此呼叫拨打的是测试号码。
    }
warning-unverified = 未核实：证明此通知来自 Microsoft 的两项依据缺少一项。请按真实呼叫处置，并用您已有的号码核实，不要使用本消息中的号码。
warning-unverified-test = 未核实：证明此通知来自 Microsoft 的两项依据缺少一项。
warning-now-verified = 现已核实：此前关于此呼叫的报告未经核实，本消息已核实。
warning-differs =
    { $what ->
        [place] 位置不同：未核实的报告给出的是另一位置，或没有位置。请以本消息为准。
        [caller] 呼叫者不同：未核实的报告给出的是另一呼叫者，或没有呼叫者。请以本消息为准。
       *[both] 位置和呼叫者不同：未核实的报告给出的与此不同，或没有给出。请以本消息为准。
    }
warning-updated =
    { $what ->
        [place] 位置已更新：以上位置是新的。之前的消息给出的是另一位置，或没有位置。
        [caller] 呼叫者已更新：以上呼叫者信息是新的。之前的消息给出的是另一呼叫者，或没有呼叫者。
       *[both] 位置和呼叫者已更新：以上位置和呼叫者信息是新的。之前的消息给出的与此不同，或没有给出。
    }
warning-other-report = 未核实：有报告给出另一位置或另一呼叫者；仍以已核实的位置和呼叫者为准。
warning-no-content = 无法读取详细信息：通知中没有内容。{ ask }
warning-undecryptable = 无法读取详细信息：无法解密。{ ask }
warning-unparseable = 无法读取详细信息：格式与预期不符。{ ask }
ask = 请查看 Teams 安保值班聊天，或询问电话系统管理员是谁拨打的。
warning-no-location = 无位置信息：Teams 未提供此呼叫的位置。
warning-no-street = 缺少街道地址：以上位置是 Teams 发送的全部内容。
warning-late = 延迟：此事发生于本消息生成前{ $duration }。
registered-location = 位置由 Teams 提供。它可能是呼叫者登记的位置，而不是其当前所在位置。

## 附注

missing-validation-token = 验证令牌缺失或无法检验。
missing-client-state = 客户端状态缺失或未知。
contradiction-tenant = 通知中写的是另一租户：{ $stated }
contradiction-policy = 通知中写的是另一策略：{ $stated }

## 一条消息中的多个未核实呼叫

combined-calls = { $count } 个紧急呼叫
combined-headline = 收到 { $count } 个紧急呼叫报告，均未核实。
combined-more = 另有 { $count } 个
combined = 同时收到的未核实呼叫过多，因此在本消息中一并告知。

## 演练中代替呼叫信息的文字

drill-caller = （呼叫者姓名）
drill-account = （呼叫者帐户）
drill-callback = （回拨号码）
drill-street = （街道和门牌号）
drill-unit = （楼层和房间）
drill-city = （城市）

## 时间。$weekday 从 1（星期一）到 7，$month 从 1 到 12；$time 是带时区的时刻。

moment = { $year }年{ month }{ day }日{ weekday } { $time }
day = { $day }
weekday =
    { $weekday ->
        [1] 星期一
        [2] 星期二
        [3] 星期三
        [4] 星期四
        [5] 星期五
        [6] 星期六
       *[7] 星期日
    }
month =
    { $month ->
        [1] 1月
        [2] 2月
        [3] 3月
        [4] 4月
        [5] 5月
        [6] 6月
        [7] 7月
        [8] 8月
        [9] 9月
        [10] 10月
        [11] 11月
       *[12] 12月
    }
at = 时间 { $time }
received-at = 收到于 { $time }
before = 本消息生成前{ $duration }
ahead = 比本系统时钟快{ $duration }

duration-seconds = { $count }秒
duration-minutes = { $count }分钟
duration-hours = { $count }小时
duration-days = { $count }天
duration-pair = { $longer }{ $shorter }
short-seconds = { $count }秒
short-minutes = { $count }分钟
short-hours = { $count }小时
short-days = { $count }天

## 数字

decimal-mark = { "." }
coordinates = { $latitude }, { $longitude }
