"""What a run says of itself, in Chinese: sentences by their form. One of another form is quoted, as code."""

from __future__ import annotations

import re

from eyas.render.html import marked

_CLAUSES = tuple(
    (re.compile(form), said)
    for form, said in (
        (r"(.+): ([\d,]+) images, ([\d,]+) classes", r"`\1`：\2 张图片，\3 个类别"),
        (r"(.+): ([\d,]+) images \(([\d,]+) unreadable left out\), ([\d,]+) classes",
         r"`\1`：\2 张图片（另有 \3 张无法读取，未计入），\4 个类别"),
        (r"(.+): ([\d,]+) images \(([\d,]+) unreadable left out\)", r"`\1`：\2 张图片（另有 \3 张无法读取，未计入）"),
        (r"(.+): ([\d,]+) images", r"`\1`：\2 张图片"),
        (r"chooses the best epoch", "用于选出最佳轮次"),
        (r"([\d,]+) also in the training set", r"其中 \1 张也在训练集中"),
        (r"none given: accuracy is not measured \(--test, --val\)", "未给出：不测量准确率（`--test`、`--val`）"),
        (r"(\d+x\d+) by (\w+) \(ratio ([\d.]+)\), (\w+)", r"\1，`\2`（比例 \3），`\4`"),
        (r"(\d+x\d+) by (\w+), (\w+)", r"\1，`\2`，`\3`"),
        (r"mean ([\d. ]+)", r"均值 \1"),
        (r"std ([\d. ]+)", r"标准差 \1"),
        (r"answers averaged over (\d+) views", r"对 \1 个视图的输出取平均"),
        (r"weights: random, a function of the seed", "权重：随机，由种子决定"),
        (r"weights: those saved", "权重：已保存的权重"),
        (r"weights: from (.+?): ([\d,]+) tensors, all but the head, which starts fresh for these classes\.?",
         r"权重：取自 `\1`，\2 个张量；分类头除外，它针对这些类别重新初始化"),
        (r"weights: from (.+?): ([\d,]+) tensors, all but the head, which starts fresh for these classes: "
         r"none of the file's ([\d,]+) classes is known to be one of them\.?",
         r"权重：取自 `\1`，\2 个张量；分类头除外，它重新初始化：文件的 \3 个类别中没有一个可确认与这些类别相同"),
        (r"weights: from (.+?): ([\d,]+) tensors, all but the head, which starts fresh for these classes: "
         r"the file's head is of another make \((.+)\)\.?",
         r"权重：取自 `\1`，\2 个张量；分类头除外，它重新初始化：文件的分类头结构不同（`\3`）"),
        (r"weights: from (.+?): ([\d,]+) tensors, all but the head, which starts fresh for these classes: "
         r"the class names in the file do not fit its ([\d,]+) outputs\.?",
         r"权重：取自 `\1`，\2 个张量；分类头除外，它重新初始化：文件中的类别名与其 \3 个输出不符"),
        (r"weights: from (.+?): ([\d,]+) tensors, the head too, whose rows are taken in the order of your "
         r"classes, since the file names none\.?",
         r"权重：取自 `\1`，\2 个张量，包括分类头；文件未写明类别，各行按现有类别的顺序对应"),
        (r"weights: from (.+?): ([\d,]+) tensors, the head too, its ([\d,]+) rows by the classes' names"
         r"(?:, in another order)?\.?", r"权重：取自 `\1`，\2 个张量，包括分类头，其 \3 行按类别名对应"),
        (r"weights: from (.+?): ([\d,]+) tensors, the head too, its ([\d,]+) rows by the classes' numbers: "
         r"both sets must mean the same by them\.?",
         r"权重：取自 `\1`，\2 个张量，包括分类头，其 \3 行按类别编号对应：两个数据集的编号含义必须相同"),
        (r"weights: from (.+?): ([\d,]+) tensors, head: (\d+) of (\d+) classes taken over by name \((.+)\)",
         r"权重：取自 `\1`，\2 个张量；分类头按类别名沿用 \4 个类别中的 \3 个（`\5`）"),
        (r"new: (.+?)\.?", r"新类别：`\1`"),
        (r"left out: (.+?)\.?", r"未使用：`\1`"),
        (r"weights: (.+)", r"权重：`\1`"),
        (r"([\w./-]+), learning rate ([\d.e+-]+), (\w+)", r"`\1`，学习率 \2，`\3`"),
        (r"([\w./-]+), learning rate ([\d.e+-]+), (\w+), plateau (\d+)", r"`\1`，学习率 \2，`\3`，`plateau` \4"),
        (r"([\d,]+) epochs of ([\d,]+) steps, batches of ([\d,]+)", r"\1 轮，每轮 \2 步，每批 \3 张"),
        (r"decoded once, (\d+x\d+), ([\d,]+) MB in memory", r"解码一次，\1，\2 MB，存于内存"),
        (r"decoded once, (\d+x\d+), ([\d,]+) MB in the memory of the GPU", r"解码一次，\1，\2 MB，存于显存"),
        (r"decoded once, (\d+x\d+), ([\d,]+) MB in (.+)", r"解码一次，\1，\2 MB，存于 `\3`"),
        (r"decoded anew for every batch", "每批重新解码"),
        (r"cpu, (\d+) threads, (\w+)", r"`cpu`，\1 个线程，`\2`"),
        (r"(.+): ([\d,]+) file\(s\) that are no images are left out", r"`\1`：有 \2 个文件不是图片，未计入"),
        (r"([\d,]+) of ([\d,]+) classes have fewer than (\d+) training images: (.+)",
         r"\2 个类别中有 \1 个的训练图片不足 \3 张：`\4`"),
        (r"([\d,]+) pictures? ha(?:s|ve) different labels: (.+) is the same as (.+)",
         r"有 \1 张图片带有不同的标签：`\2` 与 `\3` 相同"),
        (r"eyas inspect lists them", "`eyas inspect` 会列出它们"),
        (r"no column holds labels: the name of each image's folder is its class",
         "没有标签列：以图片所在文件夹的名称为类别"),
        (r"labels count from 1 \(to ([\d,]+)\)", r"标签从 1 计到 \1"),
        (r"No improvement for (\d+) epochs: the learning rate drops to ([\d.e+-]+?)\.?",
         r"连续 \1 轮没有提高：学习率降为 \2"),
        (r"Resumed with (\w+) (.+) instead of (.+): right, but not to the last bit\.",
         r"恢复训练时 `\1` 为 `\2`，原为 `\3`：结果正确，但末位可能不同"),
        (r"(.+): was measured on no set, so there is nothing to compare\.",
         r"`\1`：没有在任何数据集上测量，无从比较。"),
        (r"(.+): has no (\S+), so its answers cannot be compared sample by sample\.",
         r"`\1`：没有 `\2`，无法逐张比较其回答。"),
        (r"(.+): there is no such list or folder any more; the run has it as --(\w+)\. If it was moved: (.+)",
         r"`\1`：该列表或文件夹已不存在（训练时的 `--\2`）。若已移动：`\3`"),
        (r"(.+): is no more the set that was measured: its images or labels were changed\.",
         r"`\1`：已不是当时测量的数据集，其图片或标签有改动"),
        (r"config\.toml names no (\w+) set any more\.", r"`config.toml` 中已没有 `\1` 数据集"),
        (r"(.+) does not exist in (.+); --root names another", r"`\1` 不在 `\2` 中；`--root` 可指定另一文件夹"),
        (r"(.+): does not exist\. Give a run folder .+", r"`\1`：不存在"),
        (r"(.+): holds no model yet .+", r"`\1`：还没有模型"),
        (r"(.+) has no image of ([\d,]+) of ([\d,]+) classes: (.+)", r"`\1` 缺少 \3 个类别中 \2 个的图片：`\4`"),
        (r"(.+): left out: (.+)", r"`\1`：未计入：`\2`"),
        (r"(.+): its images are read from (.+)", r"`\1`：图片取自 `\2`"),
        (r"(.+): its images lie in folders below it: all are one class", r"`\1`：图片在其下的文件夹中，同属一个类别"),
        (r"not used: the columns? (.+)", r"未使用的列：`\1`"),
        (r"line (\d+) is taken for a header: (.+)", r"第 \1 行视为表头：`\2`"),
        (r"the list leaves the file names' ending off: (.+) was added", r"列表省略了文件名的后缀：已补上 `\1`"),
        (r"(.+) labels its images by number, counted from (\d): the names are those of (.+)",
         r"`\1` 用编号（从 \2 起）标注图片：类别名取自 `\3`"),
        (r"(.+) orders its classes differently from (.+): matched by name", r"`\1` 与 `\2` 的类别顺序不同：按名称对应"),
        (r"([\d,]+) comment lines? \(starting with #\) left out", r"略去 \1 行注释（以 `#` 开头）"),
        (r"some labels are numbers, some are not \((.+)\): all are taken as names",
         r"标签有的是数字，有的不是（`\1`）：全部作为名称"),
        (r"no label is (.+): the classes are the ([\d,]+) numbers that occur",
         r"没有标签 `\1`：以出现的 \2 个数字为类别"),
        (r"paths are written the Windows way: \\ is read as /", r"路径为 Windows 写法：`\\` 读作 `/`"),
        (r"([\d,]+) of ([\d,]+) images lie outside (.+), the first is (.+)",
         r"\2 张图片中有 \1 张在 `\3` 之外，第一张是 `\4`"),
        (r"No two of these runs were measured on the same samples: their numbers cannot be compared\.",
         "没有两次训练是在相同的图片上测量的：它们的数字无法比较。"),
    )
)  # fmt: skip


def in_chinese(words: str) -> str:
    """Return what a run said as HTML in Chinese, clause by clause; what has none of the known forms is quoted."""
    whole = _clause(words)
    return marked(whole or "；".join(_clause(part) or f"`{part}`" for part in words.split("; ")))


def _clause(words: str) -> str | None:
    found = ((form.fullmatch(words), said) for form, said in _CLAUSES)
    return next((match.expand(said) for match, said in found if match), None)
