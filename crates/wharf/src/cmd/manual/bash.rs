//! The completion script of bash.
//!
//! It differs from that of the library in one thing: bash takes a colon for the end of a word, and names of images have colons. So words are
//! joined at them before the program is asked, and what it answers is cut to what follows the last colon.

use crate::completion::VARIABLE;

const SCRIPT: &str = r#"_clap_complete_wharf() {
    local IFS=$'\013'
    local words=() word glued=false position=0 i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)) && [[ $word != :* ]]; then
            word=$2
        fi
        if ((i > 0)) && { $glued || [[ $word == :* ]]; }; then
            words[position]+=$word
        else
            position=${#words[@]}
            words[position]=$word
        fi
        if [[ $word == *: ]]; then glued=true; else glued=false; fi
    done
    local space=true
    if compopt +o nospace 2> /dev/null; then
        space=false
    fi
    COMPREPLY=( $( \
        _CLAP_IFS="$IFS" \
        _CLAP_COMPLETE_INDEX="$position" \
        _CLAP_COMPLETE_COMP_TYPE="$COMP_TYPE" \
        _CLAP_COMPLETE_SPACE="$space" \
        VARIABLE=bash \
        wharf -- "${words[@]}" 2> /dev/null \
    ) )
    if [[ $? != 0 ]]; then
        unset COMPREPLY
        return
    fi
    local current=${words[position]}
    if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
        local before=${current%"${current##*:}"}
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]=${COMPREPLY[i]#"$before"}
        done
    fi
    if [[ $space == false && ${COMPREPLY-} =~ [=/:]$ ]]; then
        compopt -o nospace
    fi
}
if [[ ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 || ${BASH_VERSINFO[0]} -gt 4 ]]; then
    complete -o nospace -o bashdefault -o nosort -F _clap_complete_wharf wharf
else
    complete -o nospace -o bashdefault -F _clap_complete_wharf wharf
fi
"#;

/// The script.
pub(super) fn script() -> String {
    SCRIPT.replace("VARIABLE", VARIABLE)
}
