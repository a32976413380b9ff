# Completion of stockade for bash. `stockade` itself says what fits, so this file fits every version of it.
_stockade() {
    local line stockade current=${COMP_WORDS[COMP_CWORD]}
    # The word on the line may name a file of a directory that somebody else wrote: the program is the one on the PATH.
    stockade=$(type -P stockade) && [[ $stockade == /* ]] || return
    # bash takes `=` for a word of its own.
    [ "$current" != "=" ] || current=
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        :files)
            compopt -o filenames 2>/dev/null
            while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
            ;;
        :directories)
            compopt -o filenames 2>/dev/null
            while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "$current")
            ;;
        :programs)
            while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "$current")
            ;;
        *)
            line=${line%%$'\t'*}
            # What ends so is only begun.
            [[ $line != *: ]] || compopt -o nospace 2>/dev/null
            COMPREPLY+=("$line")
            ;;
        esac
    done < <("$stockade" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _stockade stockade
