# Completion of stockade for fish. `stockade` itself says what fits, so this file fits every version of it.
function __stockade_fitting
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    # The word on the line may name a file of a directory that somebody else wrote: the program is the one on the PATH.
    set -l stockade (command -s stockade)
    string match -q '/*' -- "$stockade"; or return
    for line in ($stockade complete -- $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$current"
            case ':directories'
                __fish_complete_directories "$current"
            case ':programs'
                __fish_complete_command
            case '*'
                echo $line
        end
    end
end
complete --command stockade --no-files --arguments '(__stockade_fitting)'
