package main

import "strings"

// expand replaces variables as systemd does (systemd.service(5), "Command lines"): $NAME as a word of its own
// becomes the words of its value, ${NAME} anywhere becomes its value, $$ one dollar sign. Unset ones are empty.
func expand(words []string, environment map[string]string) []string {
	expanded := words[:1:1]
	for _, word := range words[1:] {
		if name, alone := strings.CutPrefix(word, "$"); alone && isName(name) {
			expanded = append(expanded, strings.Fields(environment[name])...)
			continue
		}
		expanded = append(expanded, expandWord(word, environment))
	}
	return expanded
}

func expandWord(word string, environment map[string]string) string {
	var text strings.Builder
	for len(word) > 0 {
		before, after, found := strings.Cut(word, "$")
		text.WriteString(before)
		if !found {
			break
		}
		word = after
		name, rest, closed := strings.Cut(strings.TrimPrefix(after, "{"), "}")
		switch {
		case strings.HasPrefix(after, "$"):
			text.WriteByte('$')
			word = after[1:]
		case strings.HasPrefix(after, "{") && closed && isName(name):
			text.WriteString(environment[name])
			word = rest
		default:
			text.WriteByte('$')
		}
	}
	return text.String()
}

func isName(text string) bool {
	for index, letter := range text {
		switch {
		case letter == '_', letter >= 'a' && letter <= 'z', letter >= 'A' && letter <= 'Z':
		case letter >= '0' && letter <= '9' && index > 0:
		default:
			return false
		}
	}
	return text != ""
}
