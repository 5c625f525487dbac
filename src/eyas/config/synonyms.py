"""What other trainers call our settings: a name that we do not have is answered with ours of the same meaning."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping

from eyas.errors import suggest

# ours -> in Ultralytics, timm, fastai, Transformers, Keras, Lightning, torchvision's references; of several of ours
# the first is meant that the command has. Without hyphens and underscores.
MEANINGS: Mapping[str, str] = {
    "lr": "learningrate learnrate lr0 lrmax maxlr lrbase baselr initlr initiallr peaklr eta",
    "batch_size batch": "b bs batch batchsize trainbatchsize evalbatchsize testbatchsize validationbatchsize "
                        "perdevicetrainbatchsize perdeviceevalbatchsize batchsizepergpu minibatch",
    "epochs": "e nepoch nepochs numepochs numepoch numtrainepochs maxepochs trainepochs totalepochs",
    "size": "imgsz imgsize imagesize imagesz imsize inputsize inputshape targetsize resolution imageresolution res "
            "cropsize traincropsize valcropsize",
    "crop_ratio": "croppct cropfraction",
    "resize": "resizemode cropmode",
    "optimizer": "opt optim optimiser solver",
    "momentum": "mom",
    "weight_decay": "wd l2 l2reg weightdecayrate",
    "schedule": "sched scheduler lrscheduler lrschedulertype lrschedule lrpolicy",
    "warmup_epochs": "warmup lrwarmupepochs",
    "step_epochs": "stepsize lrstepsize decayepochs lrdecayepochs",
    "step_factor": "gamma lrgamma decayrate lrdecayrate",
    "plateau": "patienceepochs reducelronplateau lrpatience",
    "workers": "j nworkers numworkers dataloadernumworkers workerspergpu nw",
    "patience": "earlystop earlystopping earlystoppingpatience espatience",
    "val": "valid validation valdir validdir validationdir valdata validdata validationdata evaldata valset validset "
           "valsplit validsplit validationsplit trainvalsplit validpct valpct valratio "
           "valfraction validationfraction valsize",
    "test": "testdir testset testdata testpath",
    "against data": "test val",
    "form": "format outputformat fmt",
    "train data paths": "data dataset datapath datafolder traindir trainset traindata trainpath traintxt d input "
                        "inputs inputdir source src images imagedir files train",
    "data_dir": "downloaddir datasetroot",
    "root": "imgdir imageroot imgroot imgfolder imagefolder imagesdir rootdir foldername",
    "classes": "classmap classnames labelnames labelmap names namesfile classesfile",
    "out": "o output outputdir outputpath outputfile outdir savedir savepath saveto workdir logdir project name "
           "expname experiment expdir rundir defaultrootdir dest",
    "run": "model weights m modelpath modelfile",
    "model": "arch a architecture net network backbone modelname modelnameorpath",
    "weights run": "checkpoint checkpointpath ckpt ckptpath initialcheckpoint loadfrom load pretrainedpath weightsfile "
                   "pretrainedweights loadweights initweights w modelpath",
    "device": "gpu gpus cuda accelerator devices gpuid gpuids deviceid",
    "precision": "dtype mixedprecision",
    "channels_last": "memoryformat",
    "compile": "torchcompile",
    "deterministic": "usedeterministicalgorithms",
    "seed": "randomseed manualseed randomstate",
    "label_smoothing": "smoothing labelsmooth labelsmoothingfactor smooth",
    "class_weights": "classweight cw",
    "clip_norm": "clipgrad clipgradnorm gradclip maxgradnorm gradientclipval",
    "accumulate": "gradaccum gradaccumsteps accumsteps gradientaccumulationsteps accumulategradbatches",
    "ema": "modelema modelemadecay emadecay",
    "select": "evalmetric metricforbestmodel monitor",
    "keep": "checkpointhist savetotallimit",
    "log_every": "printfreq loginterval logginginterval loggingsteps logeverynsteps",
    "wandb": "logwandb usewandb wandbproject",
    "flip": "hflip fliplr horizontalflip randomhorizontalflip",
    "vertical_flip": "vflip flipud randomverticalflip",
    "crop_scale": "scale randomresizedcrop rrc",
    "crop_padding": "randomcrop padding",
    "color_jitter": "colourjitter jitter",
    "erasing": "reprob randomerase randomerasing cutout",
    "mixup": "mixupalpha",
    "cutmix": "cutmixalpha",
    "transform": "transforms augmentation augmentations tfms batchtfms itemtfms",
    "mean": "imagemean normalizemean",
    "std": "imagestd normalizestd",
    "views": "tta testtimeaugmentation",
    "cache": "cachedataset cacheimages",
    "threads": "numthreads",
    "recipe": "preset",
    "config": "c cfg configfile yaml hyp",
    "top": "topk k",
    "unknown_below": "conf confidence threshold thresh confthres",
    "skip_unreadable": "ignoreerrors skipcorrupt skiperrors",
    "int8": "quantize quantise",
    "port": "p",
    "language": "lang",
}  # fmt: skip

# what we have in another way, in words; said where the command has every flag in them
OTHERWISE: Mapping[str, str] = {
    "amp useamp fp16 half bf16 tf32 ampdtype float16 bfloat16":
        "the arithmetic is chosen by --precision: fp16, bf16 or tf32",
    "nocuda cpu nogpu noaccel usecpu nomps": "the processor is chosen by --device cpu",
    "freeze freezebackbone freezelayers freezeepochs freezeencoder unfreeze headonly linearprobe":
        "no layer is frozen; --backbone-lr 0.01 lets all but the head learn at a hundredth of its rate "
        "(--recipe finetune: at 0.3 of it)",
    "pretrained": "a library's ImageNet weights are taken by --pretrained, those of a file by --weights FILE",
    "numclasses numclass nclasses nclass nc numlabels":
        "the classes are counted from the data; --classes FILE names them in their order",
    "minlr lrmin lrf finallr etamin coslr cosine cosinelr onecycle":
        "the rate's course is chosen by --schedule cosine, linear or onecycle",
    "warmupsteps warmupratio warmupiters": "warming up is counted in epochs, by --warmup-epochs",
    "maxsteps maxiter maxiters iterations numsteps trainsteps": "the length is counted in epochs, by --epochs",
    "aa autoaugment randaugment randaug augmix": "a random operation for each image comes with --trivial-augment",
    "hsvh hsvs hsvv brightness contrast saturation":
        "brightness, contrast and saturation are changed together, by --color-jitter",
    "noaug noaugment": "images are mirrored, and changed no further unless flags say so; --flip 0 leaves that out",
    "shuffle": "every epoch has an order of its own, which follows from --seed",
    "checkvaleverynepoch evalstrategy evalfreq doeval": "what --val and --test name is measured after every epoch",
    "save savemodel savebest savestrategy saveperiod savefreq savesteps":
        "a model is saved after every epoch, and the best stays; --keep and --save-minutes say more",
    "tensorboard logger reportto": "TensorBoard's files are always written; --wandb and --mlflow log elsewhere too",
    "resume resumefromcheckpoint autoresume":
        "a run goes on by `eyas resume RUN`; --weights FILE begins a new one with its weights",
    "evaluate evaluateonly testonly evalonly": "a trained model is measured by `eyas evaluate RUN DATA`",
    "verbose quiet v q": "what is shown is chosen by --view auto, live, plain or none",
    "existok overwrite overwriteoutputdir": "a run is never overwritten; --out names another folder",
    "loss criterion": "the loss is cross entropy, changed by --label-smoothing and --class-weights",
    "dropout drop droprate droppath":
        "a network's dropout is its own; --label-smoothing, --mixup and --weight-decay regularise too",
    "fastdevrun dryrun": "the shortest run is --epochs 1",
    "split splits testsplit testsize testpct testratio trainsplit trainsize trainratio trainvalratio splitratio":
        "a share of the training set is kept apart by --val 0.1; --test names a set",
    "stratify stratified": "a share that --val 0.1 keeps apart is stratified",
    "kfold kfolds fold folds nfolds nsplits numfolds crossvalidation":
        "folds are runs of their own: a list for each, as TRAIN and as --val",
    "rotation rotate rotations degrees translate shear perspective randomrotation":
        "turned and shifted pictures come with --trivial-augment, or from a function of your own by --transform",
    "augment aug augs dataaugmentation": "pictures are varied by --trivial-augment, --crop-scale and others",
    "grayscale greyscale gray grey channels inchannels inchans nchannels inputchannels":
        "every image is read as RGB, grey ones too: there is nothing to say",
    "sampler weightedsampler oversample oversampling balance balanced balancedsampler imbalance":
        "rare classes count more by --class-weights balanced",
    "ddp distributed multigpu worldsize localrank dataparallel nprocpernode":
        "several GPUs are used where torchrun starts `eyas train`",
    "pinmemory persistentworkers prefetch prefetchfactor": "images are decoded ahead, also with --workers 0",
    "beta betas beta1 beta2 adambeta1 adambeta2 eps adameps adamepsilon":
        "but for the momentum, an optimiser's numbers are those of PyTorch",
    "height width imgheight imgwidth imageheight imagewidth": "images become squares, of --size; --resize says how",
    "tb": "TensorBoard's files are always written",
    "graph": "TensorBoard shows no network's graph; of a trained one `eyas export` writes it as ONNX",
    "allowurls": "the server fetches no addresses; pictures are sent, up to --max-mb in a request",
    "perclient proxy memorymb": "a reverse proxy limits its clients; --queue and --max-mb limit all of them together",
}  # fmt: skip
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")


def known_as(
    word: str, options: Collection[str], written: Callable[[str], str] = repr, alike: Collection[str] | None = None
) -> str:
    """Return a sentence on what we call `word`, led by a space: of the same meaning, else of like spelling; else "".

    `options` are the names that there are, such as `batch_size`; `written` says how the user writes one of them. Only
    those in `alike` are offered for their spelling.
    """
    name, spelled = word.lstrip("-").replace("-", "_"), options if alike is None else alike
    if said := same_meaning(name, options, written) or suggest(name, spelled, written=written):
        return said
    theirs = " ".join((*MEANINGS.values(), *OTHERWISE)).split()
    near = difflib.get_close_matches(_plain(name), theirs, 1, 0.85) if len(name) > 4 else []
    return same_meaning(near[0], options, written) if near else ""


def same_meaning(word: str, options: Collection[str], written: Callable[[str], str]) -> str:
    """Return the sentence for a name that stands in the tables, "" where it does not, or what it says is no option."""
    if found := our_name(word, options):
        return f" eyas calls it {written(found)}."
    for said in (said for theirs, said in OTHERWISE.items() if _plain(word) in theirs.split()):
        if all(name in options for name in flags_in(said)):
            told = _FLAG.sub(lambda flag: written(flag[1].replace("-", "_")), said)
            return f" {told[0].upper()}{told[1:]}."
    return ""


def our_name(word: str, options: Collection[str]) -> str | None:
    """Return which of `options` means the same, None where none does."""
    ours = (name for names, theirs in MEANINGS.items() if _plain(word) in theirs.split() for name in names.split())
    return next((name for name in ours if name in options), None)


def flags_in(text: str) -> list[str]:
    """Return the flags that a text names, as names of settings."""
    return [name.replace("-", "_") for name in _FLAG.findall(text)]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
