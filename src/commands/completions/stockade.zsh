#compdef stockade
# Completion of stockade for zsh. `stockade` itself says what fits, so this file fits every version of it.
_stockade() {
    local line value stockade
    # The word on the line may name a file of a directory that somebody else wrote: the program is the one on the PATH.
    stockade=$(whence -p stockade) && [[ $stockade == /* ]] || return
    local -a fitting begun
    for line in "${(@f)$("$stockade" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
        :files) _files ;;
        :directories) _files -/ ;;
        :programs) _command_names -e ;;
        ?*)
            value=${line%%$'\t'*}
            if [[ $value == *: ]]; then begun+=("$value"); else fitting+=("${value//:/\\:}:${line#*$'\t'}"); fi
            ;;
        esac
    done
    (( ! $#begun )) || compadd -S '' -a begun
    (( ! $#fitting )) || _describe 'stockade' fitting
}
if [ "$funcstack[1]" = _stockade ]; then _stockade "$@"; else compdef _stockade stockade; fi
