# SPDX-License-Identifier: MIT
# Fish completion for pronto.  It knows no option by itself: all are read from `pronto ... --help`.

# What is typed of an option's argument so far.
function __pronto_typed
    string replace -r -- '^--[a-z-]+=' '' (commandline -ct)
end

# The words of a|b|file:PATH, and the files behind file: if that is there; those of FILE|a:PATH, and files.
function __pronto_words
    set -l typed (__pronto_typed)
    for offer in (string split '|' $argv[1])
        set -l prefix (string match -r '^.*:(?=PATH$)' $offer)
        if test $offer = FILE
            __fish_complete_path $typed
        else if test -z "$prefix"
            echo $offer
        else if string match -q -- "$prefix*" $typed
            printf "$prefix%s\n" (__fish_complete_path (string replace -- $prefix '' $typed))
        else
            echo $prefix
        end
    end
end

# All that an object can say which is written a=b|c,d=e|f or PATH[,a][,b=TEXT], behind what is there.
function __pronto_members
    set -l members (string split , (string replace -ra '[][]' '' $argv[1]))
    set -l before (string match -r -- '^.*,' (__pronto_typed))
    if not string match -q '*=*' $members[1]
        if test -z "$before"
            test $members[1] = PATH; and __fish_complete_path (__pronto_typed); or __pronto_words $members[1]
            return
        end
        set -e members[1]
    end
    for member in $members
        set -l key (string split -m 1 = $member)
        if set -q key[2]
            printf '%s\n' "$before$key[1]="(string replace -r '[A-Z].*' '' (string split '|' $key[2]))
        else
            echo "$before$member"
        end
    end
end

# What `complete` is to know of an argument: FILE, a|b|file:PATH, an object, or something free.
function __pronto_argument
    switch $argv[1]
        case FILE
            printf '%s\n' -r -F
        case '*=*' '*,*'
            printf '%s\n' -x -a "(__pronto_members '$argv[1]')"
        case '*|*'
            printf '%s\n' -x -a "(__pronto_words '$argv[1]')"
        case '*'
            printf '%s\n' -x
    end
end

# Learn the options that the help of `pronto $argv[2..]` tells, for where the condition $argv[1] holds.
function __pronto_learn
    set -l lines (pronto $argv[2..] --help 2>/dev/null)
    for i in (seq (count $lines))
        set -l parts (string match -r -- '^ +(|-[A-Za-z], )--([a-z-]+)(\[=| (?! )|)([^ ]*?)\]?(|  .*)$' $lines[$i])
        or continue
        set -l short (string sub -s 2 -l 1 -- $parts[2])
        set -l takes $parts[5]
        # What is long has its description on the next line.
        set -l about (string match -r -- '[^ ].*' $parts[6] $lines[(math $i + 1)])[1]
        set -l rest -n $argv[1] -l $parts[3] -d $about
        test -n "$short"; and set -a rest -s $short
        test -n "$takes"; and set -a rest (__pronto_argument $takes)
        # One that may do without an argument has it behind = only.
        test "$parts[4]" = '[='; and set rest (string replace -r -- '^-x$' -f (string match -v -- -r $rest))
        complete -c pronto $rest
    end
end

complete -c pronto -f
__pronto_learn __fish_use_subcommand
for line in (pronto --help 2>/dev/null | sed -nE '/^Commands:/,/^$/s/^  ([a-z]+) +(.*)/\1 \2/p')
    set -l words (string split -m 1 ' ' $line)
    complete -c pronto -n '__fish_use_subcommand; or __fish_seen_subcommand_from help' -a $words[1] -d $words[2]
    contains $words[1] help version; and continue
    # What follows -- is the kernel's.
    set -l here "__fish_seen_subcommand_from $words[1]; and not contains -- -- (commandline -opc)"
    complete -c pronto -n $here -F
    __pronto_learn $here $words[1]
end
